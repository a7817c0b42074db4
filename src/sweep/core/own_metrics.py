"""Which functions of the user's own may be called as a metric: those that the user has named.

`task.metric` of a command line, or of an experiment file that it names, is the user's word. In the
folder of a study it is somebody's, maybe a stranger's; so what was named once is noted, per user.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: Lists them, by commas, where nothing can be noted, or on a machine where nothing was run.
VARIABLE = "SWEEP_METRICS"


def trust(source: str, *, note: bool = True) -> None:
    """Let `module:function` be called, in this process and in those that it starts.

    Args:
        note: Whether later commands of this user may call it, too.
    """
    if source not in _of_environment():
        os.environ[VARIABLE] = ",".join([*_of_environment(), source])
    if note and source not in _noted():
        # A home that can't be written to notes nothing: the variable is left.
        with suppress(OSError, RuntimeError):
            place = _place()
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("a", encoding="utf-8") as file:
                file.write(f"{source}\n")


def is_trusted(source: str) -> bool:
    """Whether the user has named `module:function`."""
    return source in _of_environment() or source in _noted()


def _of_environment() -> list[str]:
    return [one for one in os.environ.get(VARIABLE, "").split(",") if one]


def _noted() -> list[str]:
    try:
        return _place().read_text(encoding="utf-8").splitlines()
    except (OSError, RuntimeError, UnicodeDecodeError):
        return []


def _place() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    home = Path(state) if state else Path.home() / ".local" / "state"
    return home / "sweep" / "metrics"
