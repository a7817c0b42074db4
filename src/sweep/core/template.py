"""The text around two sentences, `data.template`: `Sentence 1: {a}\\nSentence 2: {b}`."""

from __future__ import annotations

import re

_NAMES = re.compile(r"\{(\w*)\}")


def is_template(text: str) -> bool:
    """Whether it has `{a}` and then `{b}`, each once, something in between, and no other name."""
    return _NAMES.findall(text) == ["a", "b"] and parts_of(text)[1] != ""


def parts_of(template: str) -> tuple[str, str, str]:
    """What stands before, between and behind the sentences."""
    before, _, rest = template.partition("{a}")
    between, _, behind = rest.partition("{b}")
    return before, between, behind
