"""Keys, tokens and passwords: they stay where they are, and come into no text that is kept."""

from __future__ import annotations

import os
import re

#: Variables that hold one, by the parts of their names: `HF_TOKEN`, `WANDB_API_KEY`.
_NAMES = re.compile(r"(?:^|_)(?:TOKEN|KEY|APIKEY|SECRET|PASSWORD|PASSWD|PASS)(?:_|$)")
#: Shorter ones are words that texts hold anyway.
_SHORTEST = 8
#: What stands for one that is left out.
_HIDDEN = "***"
#: `https://user:password@host`, and `https://token@host`.
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@'\"]+(?=@)")
_BY_FORM = re.compile(r"\bhf_[A-Za-z0-9]{20,}|(?<=Bearer )[\w.~+/-]{8,}=*")


def without_secrets(text: str) -> str:
    """The text with `***` for the values of such variables, passwords in addresses, and tokens
    that are known by their form."""
    for value in sorted(_known().values(), key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    return _BY_FORM.sub(_HIDDEN, _IN_ADDRESS.sub(_HIDDEN, text))


def secret_in(text: str) -> str | None:
    """What of this kind a text holds, in words that do not show it; None where it holds none."""
    named = next((name for name, value in _known().items() if value in text), None)
    if named is not None:
        return f"the value of {named}"
    found = _IN_ADDRESS.search(text)
    if found is not None and ":" in found[0]:
        return "an address with a password"
    return "a token" if _BY_FORM.search(text) else None


def _known() -> dict[str, str]:
    """By variable; the place of a file with a secret is none."""
    return {
        name: value
        for name, value in os.environ.items()
        if _NAMES.search(name.upper()) and len(value) >= _SHORTEST and value[0] not in "/~."
    }
