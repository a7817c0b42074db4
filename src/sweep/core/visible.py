"""Text that others have written, made such that a terminal shows it and obeys nothing in it."""

from __future__ import annotations

import re

#: What moves the cursor, sets colours or links (ESC, and its one-sign forms), or turns the order
#: of signs around, so that a line reads as another: Boucher & Anderson, "Trojan Source" (2021).
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with such signs spelt out, as `\\x1b`; line ends and tabs stay."""
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def has_commands(text: str) -> bool:
    """Whether there are any, a line end or a tab among them."""
    return _COMMANDS.search(text) is not None or "\n" in text or "\t" in text
