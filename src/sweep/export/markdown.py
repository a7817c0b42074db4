"""Texts of others in Markdown: shown as they are, never a tag, a link or another line."""

from __future__ import annotations

import json
import re

from sweep.core.visible import visible


def prose(text: object) -> str:
    """In a sentence or in a cell of a table."""
    line = visible(" ".join(str(text).split()))
    if "``" in line or line.count("`") % 2:
        # One that is left open would end in a span of somebody else's.
        line = line.replace("`", "\\`")
    for sign, shown in (("<", "&lt;"), ("](", "]&#40;"), ("][", "]&#91;"), ("|", "\\|")):
        line = line.replace(sign, shown)
    return line


def code_span(text: str) -> str:
    """In backticks, of which the text may hold some itself."""
    line = visible(" ".join(text.split()))
    longest = max(map(len, re.findall("`+", line)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {line} {ticks}" if longest else f"{ticks}{line}{ticks}"


def python_text(text: str) -> str:
    """As Python writes a text, in one line that reads as it runs."""
    return visible(json.dumps(text, ensure_ascii=False))
