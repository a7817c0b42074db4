"""What a terminal can show, in characters that it has."""

from __future__ import annotations

from rich.console import Console
from rich.status import Status


def busy(console: Console, doing: str) -> Status:
    """A context that shows, on a terminal, that something takes time, and what.

    rich draws bars and boxes of ASCII where the code page has no others; its spinner it does not.
    """
    has_dots = console.encoding.lower().startswith("utf")
    return console.status(doing, spinner="dots" if has_dots else "line")
