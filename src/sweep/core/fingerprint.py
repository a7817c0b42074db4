"""What settings are, in a few signs: the identity of a config."""

from __future__ import annotations

import hashlib
import json

#: Hex digits of a `config_id`. 48 bits: two of 10,000 configs collide with p = 2e-7.
_ID_DIGITS = 12


def fingerprint(content: object) -> str:
    """Short hash of canonical JSON; equal content gives equal text on every machine.

    Whole floats count as integers (`16.0` is `16`), tuples as lists.

    Raises:
        TypeError: for a value that JSON cannot hold; guessing an identity would lose runs.
    """
    text = json.dumps(_canonical(content), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def _canonical(value: object) -> object:
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
