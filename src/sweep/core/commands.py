"""Commands that are printed to be pasted into a shell, and names that are typed there."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def command(*words: str | Path) -> str:
    """`python -m sweep` with these words, quoted where a shell would split or read them."""
    return " ".join(["python -m sweep", *(shlex.quote(str(word)) for word in words)])


def meant(typed: str, names: Iterable[str]) -> list[str]:
    """The names that may be meant: the one that is typed in full, else all that begin so."""
    fitting = [name for name in names if name.startswith(typed)]
    return [typed] if typed in fitting else fitting
