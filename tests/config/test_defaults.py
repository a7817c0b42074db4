"""Defaults stand in one place: the dataclasses."""

from __future__ import annotations

import pytest
import yaml

from sweep.config.compose import assets, default_settings
from sweep.config.groups import GROUPS

#: Their options describe a thing: which columns a data set has is no default of the program.
PRESETS = ("model", "data")


def chosen() -> list[tuple[str, str]]:
    """Group and option, as `conf/config.yaml` lists them."""
    entries = yaml.safe_load((assets() / "conf" / "config.yaml").read_text("utf-8"))["defaults"]
    options = [item for entry in entries if isinstance(entry, dict) for item in entry.items()]
    assert {"lora", "trainer", "search"} <= {group for group, _ in options} > set(GROUPS)
    return options


@pytest.mark.parametrize(("group", "option"), [pair for pair in chosen() if pair[0] not in PRESETS])
def test_option_that_is_chosen_by_default_repeats_no_default(group: str, option: str) -> None:
    """It would win in silence over a default that changes."""
    path = assets() / "conf" / group / f"{option}.yaml"
    values = yaml.safe_load(path.read_text("utf-8")) or {}
    defaults = default_settings()[group]
    assert [key for key, value in values.items() if value == defaults.get(key)] == []
