"""Hydra's grammar for overrides, and texts that it can't read as they are."""

from __future__ import annotations

import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException

from sweep.core.errors import ConfigError


def parse(text: str) -> Override:
    """Parse an override; a value outside of Hydra's grammar (한글, `(a|b)`) is quoted first.

    Raises:
        ConfigError: it is none, or can't be read even so.
    """
    if "=" not in text and not text.startswith("~"):
        raise ConfigError(
            "An argument must be `key=value`, `group=option` or `+experiment=name`.",
            value=f"`{text}`",
            way_out="verbs and flags: `python -m sweep --help`",
        )
    parser = OverridesParser.create()
    try:
        return parser.parse_override(text)
    except HydraException as error:
        key, _, value = text.partition("=")
        try:
            return parser.parse_override(f"{key}={_quoted_where_needed(value, parser)}")
        except HydraException:
            raise ConfigError(
                "An argument must follow Hydra's grammar for overrides.",
                value=f"`{text}`: {str(error).splitlines()[0]}",
            ) from None


def value_of(override: Override) -> Any:
    """Its value, without the quotes of the grammar."""
    value = override.value()
    return value.text if isinstance(value, QuotedString) else value


def _quoted_where_needed(value: str, parser: OverridesParser) -> str:
    """A text in quotes; of a plain list (`[점수,score]`), each element that needs them."""
    plain_list = re.fullmatch(r"\s*\[([^\[\]{}'\"]*)\]\s*", value)
    if plain_list is None:
        return quoted(value)
    elements = [element.strip() for element in plain_list[1].split(",")]
    return f"[{','.join(_readable(element, parser) for element in elements)}]"


def _readable(element: str, parser: OverridesParser) -> str:
    try:
        parser.parse_override(f"key={element}")
    except HydraException:
        return quoted(element)
    return element


def quoted(text: str) -> str:
    """A value in the quotes of Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'") if "'" in text else text
    return f"'{escaped}'"
