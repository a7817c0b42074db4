"""The command line: verbs, exit codes, and how a user's mistake is told."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence

import yaml
from rich.console import Console
from rich.text import Text

from sweep.commands.arguments import formats_asked, parsed, refuse_broken_text
from sweep.commands.disk_trouble import OF_THE_DISK, disk_trouble
from sweep.commands.reading_flags import reading_given
from sweep.commands.signals import interruptible
from sweep.core.commands import command
from sweep.core.errors import Interrupted, SweepError, UserMistake
from sweep.core.streams import print_data
from sweep.execute.children import warm_up
from sweep.watch.terminal import busy

EXIT_DONE = 0
EXIT_UNEXPECTED = 1
EXIT_MISTAKE = 2

console = Console(highlight=False)
err_console = Console(stderr=True, highlight=False)


def run_command(argv: Sequence[str]) -> int:
    """Run one verb and return the exit code. The only place where errors end."""
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "run": _run,
        "submit": _submit,
        "export": _export,
        "predict": _predict,
        "verify": _verify,
        "report": _report,
        "status": _status,
        "stop": _stop,
        "add": _add,
        "compare": _compare,
        "worker": _worker,
        "wandb": _wandb,
        "cost": _cost,
    }
    known = (*verbs, "-h", "--help", "--version")
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    try:
        # Paths are looked up: a disk may have its say already here.
        args = _parsed(list(argv) if argv and argv[0] in known else ["run", *argv])
        with interruptible():
            code = verbs[args.verb](args)
        # A full disk can still be told here.
        sys.stdout.flush()
        return code
    except UserMistake as mistake:
        _tell("error", str(mistake))
        return EXIT_MISTAKE
    except Interrupted as interrupted:
        return interrupted.exit_code
    except SweepError as error:
        _tell("error", str(error))
        return EXIT_UNEXPECTED
    except OSError as error:
        if error.errno not in OF_THE_DISK:
            raise
        _tell("error", disk_trouble(error))
        return EXIT_UNEXPECTED


def _parsed(argv: list[str]) -> argparse.Namespace:
    try:
        return parsed(argv)
    except SystemExit:
        sys.stdout.flush()
        raise


def _run(args: argparse.Namespace) -> int:
    from sweep.config.compose import compose_config, load_settings

    refuse_broken_text(args.overrides)
    if args.cfg:
        content, notices = compose_config(args.overrides, config_dir=args.config_dir)
        _notice(notices)
        _print_data(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
        return EXIT_DONE
    settings, notices = load_settings(args.overrides, config_dir=args.config_dir)
    _notice(notices)
    # Also without workers: one step is tried, and the export verified, in a process of its own.
    warm_up("sweep.train.first_step")
    if settings.mode == "plan":
        from sweep.commands.plan import show_plan

        show_plan(settings, console)
        return EXIT_DONE
    from sweep.commands.run import run_sweep

    return run_sweep(settings, console=console, command=_command_to_go_on(args))


def _submit(args: argparse.Namespace) -> int:
    from sweep.commands.submit import submit_sweep
    from sweep.config.compose import load_settings

    refuse_broken_text(args.overrides)
    settings, notices = load_settings(args.overrides, config_dir=args.config_dir)
    _notice(notices)
    own = ["--config-dir", str(args.config_dir.resolve())] if args.config_dir else []
    for line in submit_sweep(settings, [*own, *args.overrides]):
        _say(line)
    return EXIT_DONE


def _command_to_go_on(args: argparse.Namespace) -> str:
    """The command that was given, without what would begin anew instead of going on."""
    own = ["--config-dir", str(args.config_dir)] if args.config_dir else []
    kept = [override for override in args.overrides if not _begins_anew(override)]
    return command(*own, *kept)


def _begins_anew(override: str) -> bool:
    key, _, value = override.lstrip("+").partition("=")
    return key == "resume" and value.strip(" '\"") == "restart"


def _export(args: argparse.Namespace) -> int:
    from sweep.commands.hand_over import export_from_study

    with busy(console, "Loading the adapter in a fresh process ..."):
        folder, verified = export_from_study(
            args.study, run_id=args.run, to=args.to, formats=formats_asked(args), repo=args.push
        )
    _say(f"exported to {folder}: dev {verified.metric} {verified.reloaded:.6f}, verified")
    for line in verified.lines:
        _say(line)
    _say(f"next: {command('predict', folder, 'pairs.csv')}")
    return EXIT_DONE


def _predict(args: argparse.Namespace) -> int:
    from sweep.export.answers import scores_in_words, table_of_answers
    from sweep.export.exported import predict

    if args.out is not None:
        # A place that can't be written to is refused now, not after the scoring.
        args.out.parent.mkdir(parents=True, exist_ok=True)
    pairs, predictions = predict(
        args.folder, args.pairs, reading_given(args), tell=_say_aside, base=args.model
    )
    table = table_of_answers(args.folder, pairs, predictions.round(4))
    if args.out is None:
        _print_data(table.to_csv(index=False))
    else:
        from sweep.core.files import write_text

        write_text(args.out, table.to_csv(index=False))
        err_console.print(Text(f"{len(table):,} pairs scored: {args.out}"))
    said = scores_in_words(args.folder, pairs, predictions)
    if said is not None:
        _say_aside(said)
    return EXIT_DONE


def _say_aside(line: str) -> None:
    err_console.print(Text(line), soft_wrap=True)


def _print_data(text: str) -> None:
    """Print what is redirected into a file, most often, and say where that is no text of here."""
    code_page = print_data(text)
    if code_page is not None:
        _say_aside(f"standard output was written as UTF-8, not as {code_page}")


def _verify(args: argparse.Namespace) -> int:
    from sweep.export.verification import verify

    if args.retrain:
        return _retrain(args)
    verified = verify(args.folder, base=args.model)
    if args.json:
        both = {"measured": verified.measured, "reloaded": verified.reloaded}
        apart = {} if verified.merged is None else {"merged": verified.merged}
        print(json.dumps(both | apart))
    else:
        _say(
            f"verified: dev {verified.metric} {verified.reloaded:.6f} reloaded in float32, "
            f"{verified.measured:.6f} in the sweep"
        )
        for line in verified.lines:
            _say(line)
    return EXIT_DONE


def _retrain(args: argparse.Namespace) -> int:
    from sweep.commands.retrain import retrained

    found = retrained(args.folder, err_console if args.json else console, base=args.model)
    if args.json:
        print(json.dumps({"measured": found.measured, "retrained": found.retrained}))
    found.check()
    if not args.json:
        _say(
            f"verified: dev {found.metric} {found.retrained:.6f} trained again, "
            f"{found.measured:.6f} in the sweep; they agree within {found.tolerance:g}"
        )
    return EXIT_DONE


def _cost(args: argparse.Namespace) -> int:
    from sweep.commands.cost import show_cost

    show_cost(args.folder, console, base=args.model, seconds=args.seconds, as_json=args.json)
    return EXIT_DONE


def _report(args: argparse.Namespace) -> int:
    from sweep.commands.run import rebuild_report

    _say(f"report: {rebuild_report(args.study)}")
    if args.figures:
        from sweep.watch.report.figure_files import write_figures

        with busy(console, "Drawing the figures in a browser ..."):
            paths = write_figures(args.study)
        _say(f"figures: {args.study / 'figures'} ({len(paths) // 2} plots, each as SVG and PNG)")
    return EXIT_DONE


def _status(args: argparse.Namespace) -> int:
    from sweep.commands.as_json import status_json
    from sweep.commands.live import show_status

    if args.json:
        _print_data(status_json(args.study))
    else:
        show_status(args.study, console)
    return EXIT_DONE


def _stop(args: argparse.Namespace) -> int:
    from sweep.commands.live import stop_run

    _say(f"{stop_run(args.study, args.run)} was asked to stop; it will count as pruned")
    return EXIT_DONE


def _add(args: argparse.Namespace) -> int:
    from sweep.commands.live import add_config

    _say(add_config(args.study, args.values))
    return EXIT_DONE


def _compare(args: argparse.Namespace) -> int:
    from sweep.commands.as_json import comparison_json
    from sweep.commands.compare import show_comparison

    if args.json:
        _print_data(comparison_json(*args.studies))
    else:
        show_comparison(args.studies[0], args.studies[1], console)
    return EXIT_DONE


def _wandb(args: argparse.Namespace) -> int:
    from sweep.commands.tracking import write_to_wandb

    write_to_wandb(args.study, online=args.online, console=console, say=_say)
    return EXIT_DONE


def _worker(args: argparse.Namespace) -> int:
    from sweep.commands.worker import work_for

    return work_for(args.study, wait_min=args.wait, stay=args.stay, threads=args.threads, say=_say)


def _tell(kind: str, message: str) -> None:
    text = Text(f"{kind}: ", style="bold red").append(message, style="default")
    err_console.print(text, soft_wrap=True)


def _notice(notices: Sequence[str]) -> None:
    for notice in notices:
        err_console.print(Text(f"notice: {notice}"), soft_wrap=True)


def _say(line: str) -> None:
    console.print(Text(line), soft_wrap=True)
