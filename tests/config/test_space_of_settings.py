"""The space in the settings: dimensions, whole groups, the baseline in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from composing import settings


def test_dimension_can_be_taken_out_on_the_command_line() -> None:
    composed = settings("+experiment=lora_grid", "search.space.rank=null")
    assert len(composed.space.grid()) == 4


def test_dotted_dimension_can_be_set_or_taken_out_on_the_command_line() -> None:
    composed = settings(
        "+experiment=lora_grid", "search.space.lora.lora_dropout=null",
        "search.space.lora.target_modules=[qv,qkv,mlp]",
    )  # fmt: skip
    assert len(composed.space.grid()) == 6
    assert "lora.lora_dropout" not in composed.space.keys


@pytest.mark.long
def test_whole_space_takes_the_place_of_the_experiment_s() -> None:
    composed = settings("+experiment=lora_grid", "search.space={lora.r:[4,8]}")
    assert composed.space.keys == ("lora.r",)
    assert settings("+experiment=lora_grid", "search.space={}").space.keys == ()


@pytest.mark.parametrize(
    "name",
    ["lora_grid", "lora_tpe", "lora_asha", "lora_effects", "lora_variants", "klue_lora_grid"],
)
def test_base_recipe_is_in_the_space_of_the_experiments(name: str) -> None:
    composed = settings(f"+experiment={name}")
    assert composed.baseline is not None
    assert composed.recipe(0).lora.r == 8
    assert composed.expand(composed.baseline, 3) == composed.recipe(3)
    assert composed.baseline_id == composed.recipe(0).config_id


@pytest.mark.long
def test_sampler_starts_with_the_baseline_and_a_grid_keeps_its_cells() -> None:
    tpe = settings("+experiment=lora_tpe", "search.start_with=[{lora.r:16}]")
    assert [p["lora.r"] for p in tpe.first_points()] == ["8", "16"]
    none = settings("+experiment=lora_tpe", "search.start_with=[]", "search.baseline=false")
    assert none.first_points() == []
    start = "search.start_with=[{lora.r:16,lora.lora_alpha:32}]"
    grid = settings("+experiment=lora_grid", start)
    assert [p["rank"] for p in grid.first_points()] == ["r16_a32"]
    assert all(point in grid.space.grid() for point in grid.first_points())


def test_space_without_the_base_recipe_has_no_baseline() -> None:
    composed = settings("search=random", "search.space={lora.r:[4,16]}")
    assert composed.baseline is None
    assert composed.baseline_id is None
    assert composed.first_points() == []


@pytest.mark.long
def test_whole_groups_are_choices_that_set_what_differs(tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "넓게.yaml").write_text("defaults: [default, _self_]\nr: 64\n", "utf-8")
    composed = settings(
        "search.space={model:[minilm,klue_roberta_small],lora:[default,rslora,'넓게'],"
        "trainer:{values:[default,smoke],when:{lora:[default]}}}",
        config_dir=tmp_path,
    )
    space = composed.space
    cells = space.grid()
    assert len(cells) == 2 * (2 + 1 + 1)
    assert space.num_points == len(cells)
    # The checksum follows from the path: it is set, and no column of its own.
    assert space.keys[:3] == ("model.path", "lora.r", "lora.use_rslora")
    korean = {"model": "klue_roberta_small", "lora": "넓게"}
    recipe = composed.expand(korean, 0)
    assert (recipe.model.path, recipe.model.sha256) == ("klue/roberta-small", None)
    assert (recipe.lora.r, recipe.lora.lora_alpha) == (64, 16)
    assert recipe.trainer == composed.trainer
    smoke = composed.expand({"model": "minilm", "lora": "default", "trainer": "smoke"}, 0)
    assert smoke.trainer == settings("trainer=smoke").trainer
    assert smoke.model == composed.model
    assert composed.baseline == {"model": "minilm", "lora": "default", "trainer": "default"}


@pytest.mark.long
def test_option_of_a_group_means_what_it_means_on_the_command_line() -> None:
    searched = settings(
        "+experiment=lora_grid", "search.space={lora:[default,rslora]}", "lora.r=32"
    )
    cell = searched.expand({"lora": "rslora"}, 0)
    assert cell == settings(
        "+experiment=lora_grid", "search.space={}", "lora=rslora", "lora.r=32"
    ).recipe(0)
    # What the options do not differ in can be searched beside them.
    both = settings("+experiment=lora_grid", "search.space.lora=[default,rslora]")
    assert len(both.space.grid()) == 16
