"""What a terminal can show, in characters that it has."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.status import Status
from rich.text import Text


def busy(console: Console, doing: str) -> Status:
    """A context that shows, on a terminal, that something takes time, and what.

    rich draws bars and boxes of ASCII where the code page has no others; its spinner it does not.
    """
    has_dots = console.encoding.lower().startswith("utf")
    return console.status(doing, spinner="dots" if has_dots else "line")


class Countdown:
    """How many runs are still to be written: a line that changes on a terminal, one now and then
    elsewhere. What takes no time is not shown at all.

    Args:
        say: Shows the user a line.
    """

    _FIRST_SECONDS, _EVERY_SECONDS = 2.0, 60.0

    def __init__(self, console: Console, say: Callable[[str], None]) -> None:
        self._console = console
        self._say = say
        self._began: float | None = None
        self._next = 0.0

    def show(self, left: int) -> None:
        """Called again and again while that is waited for."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._next = now, now + self._FIRST_SECONDS
        if now < self._next:
            return
        self._next = now + (0.0 if self._console.is_terminal else self._EVERY_SECONDS)
        line = f"wandb's files are written: {left} more runs (Ctrl-C leaves them for later)"
        if self._console.is_terminal:
            self._console.print(Text(line), end="\r", overflow="crop", no_wrap=True)
        else:
            self._say(line)
