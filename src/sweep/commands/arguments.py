"""The command line: verbs, their flags, and what help says of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sweep import __version__
from sweep.commands.reading_flags import add_reading_flags
from sweep.core.errors import ConfigError

_INTRO = """\
Which LoRA setting is best for a task, how sure that is, and the adapter.

  python -m sweep +experiment=lora_grid        train a sweep (the verb `run` may be left out)
  python -m sweep export  results/NAME         export the best config and its adapter again
  python -m sweep predict results/NAME/best pairs.csv
  python -m sweep verify  results/NAME/best    reload the adapter and score dev again
  python -m sweep cost    results/NAME/best    what a pair takes, in every form of an export
  python -m sweep report  results/NAME         rebuild the HTML report; --figures: SVG and PNG
  python -m sweep status  results/NAME         how far it is, from another terminal
  python -m sweep verdict results/NAME         which config to use, and how sure that is
  python -m sweep compare results/A results/B  two studies of one task, paired on the dev pairs
  python -m sweep stop    results/NAME --run ID    end a run that is not worth its time
  python -m sweep add     results/NAME lora.r=32   train one more config of its space
  python -m sweep worker  results/NAME         train for a sweep with executor=folder, from anywhere
  python -m sweep submit +experiment=lora_grid executor=slurm    the driver as a job of Slurm
  python -m sweep wandb   results/NAME         write to wandb what it lacks; --online: send it
  python -m sweep mlflow  results/NAME         write to MLflow what it lacks; --uri: to this one
  python -m sweep VERB --help                  flags of a verb
"""
_RUN_HELP = """\
Arguments are Hydra overrides: +experiment=NAME (or a YAML file), group=option, key=value.

  +experiment=lora_grid                        8 LoRA configs, offline
  +experiment=klue_lora_grid                   the same on KLUE-STS with klue/roberta-small
  mode=plan                                    what would be trained and how long; trains nothing
  data=files data.train=a.csv data.dev=b.csv   your own sentence pairs
  lora.target_modules=all-linear               any key; all of them: --cfg
  resume=extend | resume=restart               grow a study | move it aside and begin anew

Exit codes: 0 done, 1 unexpected error, 2 a mistake in config, data or model (nothing trained),
3 finished with failed runs, 4 no run finished, 128 + n interrupted by signal n (130 Ctrl-C, 143
SIGTERM; the same command goes on).
"""


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Verb and flags; flags may stand anywhere among overrides, which argparse takes in one piece.

    Raises:
        UserMistake: the words are those of another program.
    """
    verb, *words = argv
    if verb == "run" and any(map(_is_foreign, words)) and not {"-h", "--help"} & {*words}:
        from sweep.config.compose import refuse_old_command_line

        refuse_old_command_line(words)
    parser = make_parser()
    args, rest = parser.parse_known_args(argv)
    if rest and (args.verb not in ("run", "submit") or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.overrides += rest
    return args


def refuse_broken_text(overrides: Sequence[str]) -> None:
    """What the shell's encoding does not hold comes as halves of characters, and no file of a
    study could keep it."""
    for override in overrides:
        if not override.isascii() and any("\ud800" <= letter <= "\udfff" for letter in override):
            raise ConfigError(
                "Settings must be text in the encoding of the shell.",
                value=override,
                way_out="take a shell that works in UTF-8 (`export LANG=C.UTF-8`); a file whose "
                "name has another encoding gets a new name (`convmv`, `mv`)",
            )


def formats_asked(args: argparse.Namespace) -> tuple[Literal["merged", "onnx", "int8"], ...]:
    """The forms that `export` is to write beside the adapter."""
    asked: dict[Literal["merged", "onnx", "int8"], bool] = {
        "merged": args.merge,
        "onnx": args.onnx,
        "int8": args.int8,
    }
    return tuple(name for name, is_asked in asked.items() if is_asked)


def _is_foreign(word: str) -> bool:
    """Whether it is a flag or a bare word that no sweep is started with."""
    return word.startswith("-") or "=" not in word


def make_parser() -> argparse.ArgumentParser:
    """All verbs with their flags."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m sweep", description=_INTRO, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"sweep {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    run = verbs.add_parser("run", help="train a sweep", description=_RUN_HELP, formatter_class=raw)
    submit = verbs.add_parser("submit", help="the same as a job of Slurm, driver and all")
    for verb in (run, submit):
        verb.add_argument("overrides", nargs="*", metavar="OVERRIDE")
        verb.add_argument(
            "--config-dir", type=_on_disk, help="your own folder of groups and experiments"
        )
    run.add_argument("--json", action="store_true", help="with mode=plan: print the plan as JSON")
    run.add_argument("--cfg", action="store_true", help="print the composed configuration and stop")
    for add in (_add_export, _add_predict, _add_verify, _add_cost):
        add(verbs)
    for add in (_add_views, _add_steering, _add_worker):
        add(verbs)
    return parser


def _add_export(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = verbs.add_parser("export", help="export an adapter, verified")
    export.add_argument("study", type=_on_disk, help="the study's folder, e.g. results/lora_grid")
    export.add_argument("--run", help="a run id (or its beginning) instead of the best run")
    export.add_argument(
        "--retrain", action="store_true", help="train it again where its adapter was let go"
    )
    export.add_argument("--merge", action="store_true", help="also write base and adapter as one")
    export.add_argument("--onnx", action="store_true", help="also for onnxruntime alone")
    export.add_argument("--int8", action="store_true", help="also that with weights in eight bits")
    export.add_argument("--push", metavar="REPO", help="send all of it to the Hub in the end")
    export.add_argument("--to", type=Path, help="folder to write; default: STUDY/best")
    _add_base(export)


def _add_predict(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = verbs.add_parser("predict", help="score the sentence pairs of a file")
    predict.add_argument("folder", type=_on_disk, help="an exported folder, e.g. results/X/best")
    predict.add_argument(
        "pairs", type=_on_disk, help="CSV, TSV, JSON, JSONL, Parquet or Arrow, packed or not"
    )
    add_reading_flags(predict)
    _add_base(predict)
    predict.add_argument(
        "--form",
        choices=("adapter", "merged", "onnx", "int8"),
        help="which form of the export scores; default: adapter, or the folder that is named",
    )
    predict.add_argument(
        "--out",
        type=Path,
        help="file to write, CSV, or TSV, JSONL, Parquet by its name; default: standard output",
    )
    predict.add_argument(
        "--restart", action="store_true", help="score anew what an interrupted job has begun"
    )


def _add_verify(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = verbs.add_parser("verify", help="reload an exported adapter and score dev again")
    verify.add_argument("folder", type=_on_disk)
    verify.add_argument("--json", action="store_true", help="print the scores as JSON")
    verify.add_argument(
        "--retrain", action="store_true", help="train its config again, and compare the scores"
    )
    _add_base(verify)


def _add_cost(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cost = verbs.add_parser("cost", help="measure what scoring pairs takes")
    cost.add_argument("folder", type=_on_disk, help="an exported folder, e.g. results/X/best")
    cost.add_argument("--json", action="store_true", help="print the figures as JSON")
    cost.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="how long each form is measured, twice; default: 2",
    )
    _add_base(cost)


def _add_base(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--model", help="folder or Hub name of the base, where it is not where it was trained"
    )


def _add_views(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Verbs that show a study."""
    status = verbs.add_parser("status", help="runs by state and the ranking so far")
    status.add_argument("study", type=_on_disk)
    status.add_argument("--json", action="store_true", help="print all of it as JSON")

    verdict = verbs.add_parser("verdict", help="which config to use, and how sure that is")
    verdict.add_argument("study", type=_on_disk)
    verdict.add_argument("--json", action="store_true", help="print the figures as JSON")

    compare = verbs.add_parser("compare", help="compare the chosen configs of two studies")
    compare.add_argument("studies", type=_on_disk, nargs=2, metavar="STUDY")
    compare.add_argument("--json", action="store_true", help="print the figures as JSON")

    report = verbs.add_parser("report", help="rebuild the report of a study")
    report.add_argument("study", type=_on_disk)
    report.add_argument(
        "--figures", action="store_true", help="its plots as SVG and PNG too, in STUDY/figures"
    )


def _add_steering(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Verbs that change what a study does or holds."""
    stop = verbs.add_parser("stop", help="end one run of a sweep that is going on")
    stop.add_argument("study", type=_on_disk)
    stop.add_argument("--run", required=True, help="a run id, or its beginning")

    add = verbs.add_parser("add", help="train one more config in a study")
    add.add_argument("study", type=_on_disk)
    add.add_argument("values", nargs="+", metavar="KEY=VALUE", help="a point of its search space")

    wandb = verbs.add_parser("wandb", help="give wandb what it lacks of a study")
    wandb.add_argument("study", type=_on_disk)
    wandb.add_argument("--online", action="store_true", help="also send all that waits")

    mlflow = verbs.add_parser("mlflow", help="give MLflow what it lacks of a study")
    mlflow.add_argument("study", type=_on_disk)
    mlflow.add_argument("--uri", help="of the server or database; else as the study is set")


def _add_worker(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    worker = verbs.add_parser("worker", help="train what a sweep with executor=folder gives out")
    worker.add_argument("study", type=_on_disk, help="its folder, which may come later")
    worker.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="MIN",
        help="minutes to wait for a driver, first and where it falls silent; default: 10",
    )
    worker.add_argument(
        "--stay", action="store_true", help="wait as long once a driver has nothing more to do"
    )
    worker.add_argument(
        "--threads", type=int, default=1, help="where executor.threads says nothing; default: 1"
    )


def _on_disk(text: str) -> Path:
    """The path of something that should be there, in whichever Unicode form its names are."""
    from sweep.core.files import as_on_disk

    return as_on_disk(Path(text))
