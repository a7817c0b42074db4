"""Commands that are printed to be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def command(*words: str | Path) -> str:
    """`python -m sweep` with these words, quoted where a shell would split or read them."""
    return " ".join(["python -m sweep", *(shlex.quote(str(word)) for word in words)])
