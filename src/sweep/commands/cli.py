"""The command line: verbs, exit codes, and how a user's mistake is told."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import yaml
from rich.text import Text

from sweep.commands.adapter_verbs import cost_verb, export_verb, predict_verb, verify_verb
from sweep.commands.arguments import parsed, refuse_broken_text
from sweep.commands.disk_trouble import OF_THE_DISK, disk_trouble
from sweep.commands.signals import interruptible
from sweep.commands.speaking import SafeFormatter, console, err_console, print_answers, say
from sweep.core.commands import command
from sweep.core.errors import ConfigError, Interrupted, SweepError, UserMistake
from sweep.core.secrets import without_secrets
from sweep.execute.children import warm_up
from sweep.watch.terminal import busy

if TYPE_CHECKING:
    from sweep.config.schema import Settings

EXIT_DONE = 0
EXIT_UNEXPECTED = 1
EXIT_MISTAKE = 2


def run_command(argv: Sequence[str]) -> int:
    """Run one verb and return the exit code. The only place where errors end."""
    verbs = _verbs()
    known = (*verbs, "-h", "--help", "--version")
    _log_to_the_terminal()
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


def _log_to_the_terminal() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _verbs() -> dict[str, Callable[[argparse.Namespace], int]]:
    """What each verb of the command line does; they return exit codes."""
    return {
        "run": _run,
        "submit": _submit,
        "export": partial(_of_adapter, export_verb),
        "predict": partial(_of_adapter, predict_verb),
        "verify": partial(_of_adapter, verify_verb),
        "report": _report,
        "status": _status,
        "stop": _stop,
        "add": _add,
        "verdict": _verdict,
        "compare": _compare,
        "worker": _worker,
        "wandb": _wandb,
        "mlflow": _mlflow,
        "cost": partial(_of_adapter, cost_verb),
    }


def _parsed(argv: list[str]) -> argparse.Namespace:
    try:
        return parsed(argv)
    except SystemExit:
        sys.stdout.flush()
        raise


def _of_adapter(verb: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    verb(args)
    return EXIT_DONE


def _run(args: argparse.Namespace) -> int:
    from sweep.config.compose import compose_config, load_settings

    refuse_broken_text(args.overrides)
    if args.cfg:
        content, notices = compose_config(args.overrides, config_dir=args.config_dir)
        _notice(notices)
        print_answers(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
        return EXIT_DONE
    settings, notices = load_settings(args.overrides, config_dir=args.config_dir)
    _notice(notices)
    if args.json and settings.mode != "plan":
        raise ConfigError(
            "`--json` of a sweep is for its plan.",
            value=f"mode={settings.mode}",
            way_out="`mode=plan --json`; of a study, `status STUDY --json`, `verdict STUDY --json`",
        )
    # Also without workers: one step is tried, and the export verified, in a process of its own.
    warm_up("sweep.train.first_step")
    if settings.mode == "plan":
        _plan(settings, as_json=args.json)
        return EXIT_DONE
    from sweep.commands.run import run_sweep

    return run_sweep(settings, console=console, command=_command_to_go_on(args))


def _plan(settings: Settings, *, as_json: bool) -> None:
    from sweep.commands.plan import show_plan

    plan = show_plan(settings, err_console if as_json else console)
    if as_json:
        from sweep.commands.as_json import plan_json

        print_answers(plan_json(settings.folder, plan))


def _submit(args: argparse.Namespace) -> int:
    from sweep.commands.submit import submit_sweep
    from sweep.config.compose import load_settings

    refuse_broken_text(args.overrides)
    settings, notices = load_settings(args.overrides, config_dir=args.config_dir)
    _notice(notices)
    own = ["--config-dir", str(args.config_dir.resolve())] if args.config_dir else []
    for line in submit_sweep(settings, [*own, *args.overrides]):
        say(line)
    return EXIT_DONE


def _command_to_go_on(args: argparse.Namespace) -> str:
    """The command that was given, without what would begin anew instead of going on."""
    own = ["--config-dir", str(args.config_dir)] if args.config_dir else []
    kept = [override for override in args.overrides if not _begins_anew(override)]
    return command(*own, *kept)


def _begins_anew(override: str) -> bool:
    key, _, value = override.lstrip("+").partition("=")
    return key == "resume" and value.strip(" '\"") == "restart"


def _report(args: argparse.Namespace) -> int:
    from sweep.commands.run import rebuild_report

    say(f"report: {rebuild_report(args.study)}")
    if args.figures:
        from sweep.watch.report.figure_files import write_figures

        with busy(console, "Drawing the figures in a browser ..."):
            paths = write_figures(args.study)
        say(f"figures: {args.study / 'figures'} ({len(paths) // 2} plots, each as SVG and PNG)")
    return EXIT_DONE


def _status(args: argparse.Namespace) -> int:
    from sweep.commands.as_json import status_json
    from sweep.commands.live import show_status

    if args.json:
        print_answers(status_json(args.study))
    else:
        show_status(args.study, console)
    return EXIT_DONE


def _stop(args: argparse.Namespace) -> int:
    from sweep.commands.live import stop_run

    say(f"{stop_run(args.study, args.run)} was asked to stop; it will count as pruned")
    return EXIT_DONE


def _add(args: argparse.Namespace) -> int:
    from sweep.commands.live import add_config

    say(add_config(args.study, args.values))
    return EXIT_DONE


def _verdict(args: argparse.Namespace) -> int:
    from sweep.commands.as_json import verdict_json
    from sweep.commands.live import show_verdict

    if args.json:
        print_answers(verdict_json(args.study))
    else:
        show_verdict(args.study, console)
    return EXIT_DONE


def _compare(args: argparse.Namespace) -> int:
    from sweep.commands.as_json import comparison_json
    from sweep.commands.compare import show_comparison

    if args.json:
        print_answers(comparison_json(*args.studies))
    else:
        show_comparison(args.studies[0], args.studies[1], console)
    return EXIT_DONE


def _wandb(args: argparse.Namespace) -> int:
    from sweep.commands.tracking import write_to_wandb

    write_to_wandb(args.study, online=args.online, console=console, say=say)
    return EXIT_DONE


def _mlflow(args: argparse.Namespace) -> int:
    from sweep.commands.tracking import write_to_mlflow

    write_to_mlflow(args.study, uri=args.uri, console=console, say=say)
    return EXIT_DONE


def _worker(args: argparse.Namespace) -> int:
    from sweep.commands.worker import work_for

    return work_for(args.study, wait_min=args.wait, stay=args.stay, threads=args.threads, say=say)


def _tell(kind: str, message: str) -> None:
    said = without_secrets(message)
    text = Text(f"{kind}: ", style="bold red").append(said, style="default")
    err_console.print(text, soft_wrap=True)


def _notice(notices: Sequence[str]) -> None:
    for notice in notices:
        err_console.print(Text(f"notice: {notice}"), soft_wrap=True)
