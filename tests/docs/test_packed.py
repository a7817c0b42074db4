"""README's table of what is packed, trained alone, refused: each row is what the program does."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import yaml

from pages import ROOT
from sweep.config.quantized import refuse_unquantizable
from sweep.core.errors import ConfigError
from sweep.core.ranges import check_ranges
from sweep.core.recipe import Recipe
from sweep.lora.packable import layers_key, why_alone

README = (ROOT / "README.md").read_text(encoding="utf-8")
_HEAD = "| model or setting | trains |\n|---|---|\n"
ROWS = [
    line.strip("| ").split(" | ") for line in README.split(_HEAD)[1].split("\n\n")[0].splitlines()
]
#: Rows of settings: `lora.bias=all`, or another value of the setting before it.
SETTINGS = [(names, kind) for names, kind in ROWS if "=" in names]


def spelled(names: str) -> list[str]:
    """Every spelling of a row in full."""
    found: list[str] = []
    for text in re.findall("`([^`]+)`", names):
        found.append(text if "=" in text else f"{found[-1].rpartition('=')[0]}={text}")
    return found


CASES = [(one, kind) for names, kind in SETTINGS for one in spelled(names)]


def changed(recipe: Recipe, spelling: str) -> Recipe:
    """With each `part.key=value` of the spelling."""
    for setting in re.findall(r"(\w+\.\w+=(?:\{.*?\}|\S+))", spelling):
        key, _, text = setting.partition("=")
        part, name = key.split(".")
        value: Any = yaml.safe_load(text)
        value = tuple(value) if isinstance(value, list) else value
        changes = {part: dataclasses.replace(getattr(recipe, part), **{name: value})}
        recipe = dataclasses.replace(recipe, **changes)
    return recipe


@pytest.mark.parametrize(("spelling", "kind"), CASES)
def test_setting_trains_as_the_table_has_it(
    spelling: str, kind: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whether the package is here is another question.
    monkeypatch.setattr("sweep.config.quantized.check_quantization", lambda kind: None)
    one = changed(recipe, spelling)
    assert one != recipe
    try:
        check_ranges(one)
        refuse_unquantizable([one])
    except ConfigError:
        found = "refused"
    else:
        found = "alone" if why_alone(one) else "in packs"
    assert found == kind.partition(",")[0]


@pytest.mark.parametrize(("names", "kind"), SETTINGS)
def test_settings_of_a_row_share_packs_as_it_says(names: str, kind: str, recipe: Recipe) -> None:
    layers = {layers_key(changed(recipe, one)) for one in spelled(names)}
    if kind.startswith("in packs"):
        assert len(layers) == 1
        assert (layers_key(recipe) in layers) == ("dora" not in names and "pissa" not in names)
