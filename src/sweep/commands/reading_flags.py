"""Flags of `predict` that say how its file is read: the names of the settings under `data`."""

from __future__ import annotations

import argparse
import codecs
from collections.abc import Sequence
from typing import Any

from sweep.core.conditions import Conditions

#: Of the settings under `data`, those that a flag sets as they are.
_KEYS = (
    "text_a", "text_b", "label", "encoding", "separator", "quoting", "header", "skip_lines",
    "decimal", "split_text",
)  # fmt: skip


def add_reading_flags(verb: argparse.ArgumentParser) -> None:
    """What is not given is found out by looking at the file."""
    flags = verb.add_argument_group(
        "how the file is read", "each overrules what is found out by looking at the file"
    )
    flags.add_argument("--text-a", type=_column, help="column of the first sentence")
    flags.add_argument("--text-b", type=_column, help="column of the second sentence")
    flags.add_argument("--label", type=_column, help="column of the score, where there is one")
    flags.add_argument("--encoding", type=_encoding, help="of a text file, e.g. cp949")
    flags.add_argument("--separator", help="between the cells of a text file")
    flags.add_argument("--quoting", type=_truth, metavar="true|false", help='whether `"` quotes')
    flags.add_argument("--header", type=_truth, metavar="true|false", help="whether there is one")
    flags.add_argument("--skip-lines", type=_count, metavar="N", help="lines above header or rows")
    flags.add_argument("--decimal", choices=(".", ","), help="sign before the decimals of a score")
    flags.add_argument("--split-text", metavar="TEXT", help="what parts two texts in one cell")
    flags.add_argument(
        "--where",
        type=_condition,
        action="append",
        metavar="COLUMN=VALUE",
        help="rows that count; may be given several times",
    )


def reading_given(args: argparse.Namespace) -> dict[str, Any]:
    """The keys of `data` that were given as flags."""
    given = {name: value for name in _KEYS if (value := getattr(args, name)) is not None}
    return {**given, "where": _where(args.where)} if args.where else given


def _where(conditions: Sequence[tuple[str, str]]) -> Conditions:
    """A column that is named several times may hold each of its values.

    They are said of `test`, as pairs to predict are read: `split=train` means the train rows then.
    """
    columns = dict.fromkeys(column for column, _ in conditions)
    wanted = {name: [value for column, value in conditions if column == name] for name in columns}
    return Conditions({"test": wanted})


def _column(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def _encoding(text: str) -> str:
    try:
        codecs.lookup(text)
    except LookupError:
        raise argparse.ArgumentTypeError(
            f"must be one that Python knows, as `cp949`, not `{text}`"
        ) from None
    return text


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, not `{text}`")
    return text == "true"


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a number from 0 on, not `{text}`")
    return int(text)


def _condition(text: str) -> tuple[str, str]:
    column, sign, value = text.partition("=")
    if not (column and sign):
        raise argparse.ArgumentTypeError(f"must be COLUMN=VALUE, not `{text}`")
    return column, value
