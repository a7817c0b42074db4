"""Interpolations: a setting that follows a searched key follows it in every run, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from composing import experiment, settings
from sweep.config.schema import Settings
from sweep.core.errors import ConfigError


def _pairs(composed: Settings) -> list[tuple[object, object]]:
    recipes = [recipe for _, recipe in composed.points()]
    return [(recipe.lora.r, recipe.lora.lora_alpha) for recipe in recipes]


@pytest.mark.parametrize(
    "space",
    ["{lora.r: [4, 8]}", "{lora.r: {values: [4, 8]}}", "{rank: {a: {lora.r: 4}, b: {lora.r: 8}}}"],
)
def test_alpha_follows_each_searched_rank(space: str) -> None:
    composed = settings("lora.lora_alpha=${lora.r}", f"search.space={space}")
    assert _pairs(composed) == [(4, 4), (8, 8)]
    assert "lora.lora_alpha" in composed.space.keys


def test_one_setting_follows_another_over_a_third(tmp_path: Path) -> None:
    body = """\
    # @package _global_
    trainer: {max_steps: "${lora.lora_alpha}", weight_decay: "${trainer.max_steps}"}
    lora: {lora_alpha: "${lora.r}"}
    search: {space: {lora.r: [4, 8]}}
    """
    path = experiment(tmp_path, "\n".join(line[4:] for line in body.splitlines()))
    recipes = [recipe for _, recipe in settings(f"+experiment={path}").points()]
    assert [(r.lora.lora_alpha, r.trainer.max_steps, r.trainer.weight_decay) for r in recipes] == [
        (4, 4, 4),
        (8, 8, 8),
    ]


def test_condition_of_a_dimension_stays() -> None:
    ranks = "lora.r: {values: [4, 8], when: {lora.target_modules: mlp}}"
    space = f"{{lora.target_modules: [qv, mlp], {ranks}}}"
    composed = settings("lora.lora_alpha=${lora.r}", f"search.space={space}")
    assert _pairs(composed) == [(8, 8), (4, 4), (8, 8)]


def test_constant_of_the_space_is_followed() -> None:
    composed = settings(
        "lora.lora_alpha=${lora.r}", "search.space={lora.r: 32, lora.lora_dropout: [0.0, 0.1]}"
    )
    assert _pairs(composed) == [(32, 32), (32, 32)]


def test_label_that_sets_the_key_itself_wins(tmp_path: Path) -> None:
    body = """# @package _global_
lora: {lora_alpha: "${lora.r}"}
search: {space: {rank: {a: {lora.r: 4, lora.lora_alpha: 1}, b: {lora.r: 8, lora.lora_alpha: 2}}}}
"""
    assert _pairs(settings(f"+experiment={experiment(tmp_path, body)}")) == [(4, 1), (8, 2)]


def test_interpolation_of_what_is_not_searched_is_resolved() -> None:
    composed = settings(
        "trainer.eval_strategy=steps",
        "trainer.eval_steps=${trainer.max_steps}",
        "trainer.max_steps=30",
        "search.space={lora.r: [4, 8]}",
    )
    assert {recipe.trainer.eval_steps for _, recipe in composed.points()} == {30}


@pytest.mark.parametrize(
    ("override", "space", "named"),
    [
        ("lora.lora_alpha=${lora.r}", "{lora.r: {low: 4, high: 64}}", "a range from 4 to 64"),
        ("name=r${lora.r}", "{lora.r: [4, 8]}", "`name`"),
        ("search.n_trials=${lora.r}", "{lora.r: [4, 8]}", "`search.n_trials`"),
        ("executor.workers=${lora.r}", "{lora.r: [4, 8]}", "`executor.workers`"),
        (
            "data.name=${lora.r}-${lora.lora_alpha}",
            "{lora.r: [4, 8], lora.lora_alpha: [8, 16]}",
            "`lora.r` and `lora.lora_alpha`",
        ),
        ("lora.lora_alpha=${eval:2}", "{lora.r: [4, 8]}", "eval"),
    ],
)
def test_what_can_not_follow_is_refused_by_name(override: str, space: str, named: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        settings(override, f"search.space={space}")
    assert named in str(refusal.value)
    assert "way out" in str(refusal.value)


def test_label_that_interpolates_a_searched_key_is_refused(tmp_path: Path) -> None:
    body = """# @package _global_
search: {space: {rank: {a: {lora.r: 4, lora.lora_alpha: "${lora.r}"}}}}
"""
    with pytest.raises(ConfigError, match=r"search\.space\.rank\.a"):
        settings(f"+experiment={experiment(tmp_path, body)}")


@pytest.mark.long
def test_searched_option_that_follows_a_searched_key_is_refused(tmp_path: Path) -> None:
    group = tmp_path / "lora"
    group.mkdir()
    (group / "follows.yaml").write_text("lora_alpha: ${lora.r}\n", encoding="utf-8")
    space = "search.space={lora: [default, follows], lora.r: [4, 8]}"
    with pytest.raises(ConfigError, match="interpolates"):
        settings(space, config_dir=tmp_path)
