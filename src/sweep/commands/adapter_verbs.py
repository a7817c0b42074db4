"""The verbs about an exported adapter."""

from __future__ import annotations

import argparse

from sweep.commands.arguments import formats_asked
from sweep.commands.reading_flags import reading_given
from sweep.commands.speaking import console, err_console, print_answers, say, say_aside
from sweep.core.commands import command
from sweep.core.errors import Interrupted
from sweep.watch.terminal import busy


def export_verb(args: argparse.Namespace) -> None:
    """Write an adapter and its forms, verified."""
    from sweep.commands.hand_over import export_from_study

    doing = "Training it again, where need be" if args.retrain else "Loading the adapter"
    with busy(console, f"{doing}, in a fresh process ..."):
        asked = {"formats": formats_asked(args), "base": args.model, "repo": args.push}
        folder, verified = export_from_study(
            args.study, run_id=args.run, to=args.to, retrain=args.retrain, **asked
        )
    say(f"exported to {folder}: dev {verified.metric} {verified.reloaded:.6f}, verified")
    for line in verified.lines:
        say(line)
    say(f"next: {command('predict', folder, 'pairs.csv')}")


def predict_verb(args: argparse.Namespace) -> None:
    """Score the pairs of a file."""
    from sweep.commands.predict import Wanted, score_file

    wanted = Wanted(
        folder=args.folder,
        pairs=args.pairs,
        reading=reading_given(args),
        out=args.out,
        base=args.model,
        form=args.form,
        restart=args.restart,
    )
    try:
        score_file(wanted, err_console, tell=say_aside, print_text=print_answers)
    except Interrupted:
        if args.out is not None:
            say_aside("interrupted; the same command goes on")
        raise


def verify_verb(args: argparse.Namespace) -> None:
    """Score dev again with an exported adapter."""
    from sweep.export.verification import verify

    if args.retrain:
        _retrain(args)
        return
    verified = verify(args.folder, base=args.model)
    if args.json:
        from sweep.commands.as_json import verified_json

        print_answers(verified_json(verified))
        return
    say(
        f"verified: dev {verified.metric} {verified.reloaded:.6f} reloaded in float32, "
        f"{verified.measured:.6f} in the sweep"
    )
    for line in verified.lines:
        say(line)


def _retrain(args: argparse.Namespace) -> None:
    from sweep.commands.retrain import retrained

    found = retrained(args.folder, err_console if args.json else console, base=args.model)
    if args.json:
        from sweep.commands.as_json import retrained_json

        print_answers(retrained_json(found))
    found.check()
    if not args.json:
        say(
            f"verified: dev {found.metric} {found.retrained:.6f} trained again, "
            f"{found.measured:.6f} in the sweep; they agree within {found.tolerance:g}"
        )


def cost_verb(args: argparse.Namespace) -> None:
    """Measure what scoring pairs takes."""
    from sweep.commands.cost import show_cost

    show_cost(args.folder, console, base=args.model, seconds=args.seconds, as_json=args.json)
