"""What a terminal can show, in characters that it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status

from sweep.core.visible import visible
from sweep.core.words import counted

_BARS = "▁▂▃▄▅▆▇█"


class SafeConsole(Console):
    """Shows what stands in names, texts and messages of others; nothing in them is obeyed.

    rich takes out some signs of this kind, and leaves ESC, by which all the others can be said.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            # Rich's own movements of the cursor are marked as such.
            said = segment.text if segment.control else visible(segment.text)
            yield segment if said == segment.text else Segment(said, segment.style)


def busy(console: Console, doing: str) -> Status:
    """A context that shows, on a terminal, that something takes time, and what.

    rich draws bars and boxes of ASCII where the code page has no others; its spinner it does not.
    """
    if console.is_jupyter:
        # rich needs ipywidgets for what changes in a notebook, and warns where they are missing.
        console = Console(quiet=True, force_jupyter=False)
    has_dots = console.encoding.lower().startswith("utf")
    return console.status(doing, spinner="dots" if has_dots else "line")


def sparkline(values: Sequence[float], console: Console, width: int = 8) -> str:
    """The last values from 0 to 1 as bars of one character each; nothing where a code page has
    none."""
    if not console.encoding.lower().startswith("utf"):
        return ""
    heights = (round(min(max(value, 0.0), 1.0) * (len(_BARS) - 1)) for value in values[-width:])
    return "".join(_BARS[height] for height in heights)


class Countdown:
    """How many runs are still to be written: a line that changes on a terminal, one now and then
    elsewhere. What takes no time is not shown at all.

    Args:
        say: Shows the user a line.
        place: What they are written to.
    """

    _FIRST_SECONDS, _EVERY_SECONDS = 2.0, 60.0

    def __init__(
        self, console: Console, say: Callable[[str], None], place: str = "wandb's files"
    ) -> None:
        self._place = place
        self._status = busy(console, "")
        self._is_terminal = console.is_terminal
        self._say = say
        self._next: float | None = None

    def show(self, left: int) -> None:
        """Called again and again while that is waited for; with 0 at the end."""
        now = time.monotonic()
        if self._next is None:
            self._next = now + self._FIRST_SECONDS
        if left == 0:
            self._status.stop()
        elif now >= self._next:
            line = f"writing to {self._place}: {counted(left, 'run')} left (Ctrl-C: later)"
            self._show(line, now)

    def _show(self, line: str, now: float) -> None:
        if self._is_terminal:
            self._status.update(line)
            self._status.start()
            return
        self._next = now + self._EVERY_SECONDS
        self._say(line)
