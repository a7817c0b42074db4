"""Colours of page and figures, by token, and how a figure gets them.

In a figure `@ink` stands for the token `ink`: the page puts in its CSS variable, so that a plot
follows it from light to dark, and `painted` puts in one palette, for files and wandb.
Series are the Okabe-Ito set, darkened on paper and lightened on dark; `low` to `high` differ in
lightness. Both can be told apart with any colour vision, the latter in grey as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NUM_SERIES = 8

LIGHT: Mapping[str, str] = {
    "page": "#f5f7f9",
    "paper": "#ffffff",
    "ink": "#1b2430",
    "muted": "#566475",
    "faint": "#a3afbc",
    "grid": "#e4e9ee",
    "accent": "#0067a0",
    "soft": "#e6f1f8",
    "caution": "#8a4600",
    "caution-soft": "#fdf3e4",
    "series0": "#0072b2",
    "series1": "#d55e00",
    "series2": "#009e73",
    "series3": "#b8568f",
    "series4": "#b37a00",
    "series5": "#3d9bd4",
    "series6": "#6b5b95",
    "series7": "#555555",
    "low": "#d3e3ef",
    "middle": "#6aa5cb",
    "high": "#00456e",
}
DARK: Mapping[str, str] = {
    "page": "#0f141b",
    "paper": "#171d26",
    "ink": "#e8edf3",
    "muted": "#9dabbb",
    "faint": "#55626f",
    "grid": "#28323e",
    "accent": "#6cbcf0",
    "soft": "#17303f",
    "caution": "#f2b56b",
    "caution-soft": "#2e2414",
    "series0": "#56b4e9",
    "series1": "#ff8c42",
    "series2": "#2cc79c",
    "series3": "#e39ac4",
    "series4": "#e9b53c",
    "series5": "#8ab8ff",
    "series6": "#b9a5f0",
    "series7": "#b5bec9",
    "low": "#24384a",
    "middle": "#4a8fc0",
    "high": "#bfe4ff",
}
#: From a low to a high score.
SCALE = ((0.0, "@low"), (0.5, "@middle"), (1.0, "@high"))

_COLOUR_KEY = re.compile(r"color(scale)?$")


def painted(figure: Mapping[str, Any], palette: Mapping[str, str]) -> dict[str, Any]:
    """The figure with the palette's colours in place of the tokens."""
    done: dict[str, Any] = _painted(figure, palette, colour=False)
    return done


def _painted(node: Any, palette: Mapping[str, str], *, colour: bool) -> Any:
    """Only what stands under a key for colours is replaced: a label may begin with @ as well."""
    if isinstance(node, str):
        return palette[node[1:]] if colour and node.startswith("@") else node
    if isinstance(node, Mapping):
        return {
            key: _painted(value, palette, colour=bool(_COLOUR_KEY.search(key)))
            for key, value in node.items()
        }
    if isinstance(node, list | tuple):
        return [_painted(value, palette, colour=colour) for value in node]
    return node
