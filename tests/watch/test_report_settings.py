"""What settings do to the score, as the report shows it."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from studies import (
    GRID,
    KEYS,
    LABELS,
    NOISE,
    VERSIONS,
    outcome_of,
    page,
    study,
    study_board,
)
from sweep.loop.trial import Finished, Run
from sweep.study.rows import ConfigRow, cost_front
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.watch.report import study_figures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "s")
    return tmp_path / "s"


def test_labels_named_low_and_high_are_one_dimension_with_all_of_their_keys(folder: Path) -> None:
    before = [factor.key for factor in Study.open(folder).factors]
    content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    space = content["search"]["space"]
    space["rank"] = dict(zip(("low", "high"), space["rank"].values(), strict=True))
    (folder / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    assert [factor.key for factor in Study.open(folder).factors] == before


def test_heat_map_needs_rank_and_alpha_that_vary_apart(tmp_path: Path) -> None:
    apart = [
        {**GRID[1], "lora.r": r, "lora.lora_alpha": alpha, "lora.lora_dropout": p}
        for r, alpha, p in itertools.product((4, 8), (8, 16), (0.0, 0.1))
    ]
    study(tmp_path / "apart", apart)
    study(tmp_path / "pairs")
    assert "together-r_and_alpha" not in study_figures(tmp_path / "pairs")
    (trace,) = study_figures(tmp_path / "apart")["together-r_and_alpha"]["data"]
    board = study_board(tmp_path / "apart")
    expected = board.groupby(["lora.r", "lora.lora_alpha"])["mean"].mean()
    assert list(itertools.chain(*trace["z"])) == pytest.approx(list(expected))
    assert (trace["y"], trace["x"]) == (["4", "8"], ["8", "16"])
    assert "configs: 2" in trace["hovertext"][0][0]


def test_nothing_on_the_front_is_beaten_at_its_cost() -> None:
    means, costs = [0.5, 0.9, 0.8, 0.85, 0.7, 0.95], [1, 40, 20, 45, 25, None]
    configs = [
        ConfigRow(1, name, 0, 1, mean, {}, lora_params=cost)
        for name, mean, cost in zip("abcdef", means, costs, strict=True)
    ]
    assert [row.config_id for row in cost_front(configs, "lora_params")] == ["a", "c", "b"]


def test_thirds_of_a_range_are_told_by_the_means_of_all_their_configs(tmp_path: Path) -> None:
    configs = [{**GRID[1], "lora.lora_dropout": round(3e-5 * n, 5)} for n in range(1, 31)]
    study(tmp_path / "s", configs)
    board = study_board(tmp_path / "s").sort_values("lora.lora_dropout")
    first, second, third = (board["mean"].iloc[10 * n : 10 * n + 10].mean() for n in range(3))
    said = (
        f"{first:.3f} for dropout 3e-05 to 0.0003, {second:.3f} for dropout 0.00033 to 0.0006, "
        f"{third:.3f} for dropout 0.00063 to 0.0009; rank correlation"
    )
    assert said in page(tmp_path / "s").text


def test_configs_that_differ_in_what_was_not_searched_all_count(tmp_path: Path) -> None:
    configs = [{**GRID[n], "lora.use_rslora": scaled} for n in (0, 1) for scaled in (False, True)]
    study(tmp_path / "s", configs)
    means = study_board(tmp_path / "s").groupby("lora.target_modules")["mean"].mean()
    by = means["all-linear"] - means["qv"]
    said = f"all-linear above qv by {by:.3f} on average (4 pairs that differ in this alone"
    found = page(tmp_path / "s")
    assert said in found.text
    words = [trace.get("hovertext") for trace in found.figures["effects-1-1"]["data"]]
    hovers = {text for text in words if isinstance(text, str)}
    assert hovers == {f"{level}: {mean:.4f} on average" for level, mean in means.items()}


def confirm(folder: Path, keys: tuple[str, ...]) -> None:
    """Fresh seeds: for the search's leaders, who are far worse on them, and for a new config."""
    results = Results(folder, searched_keys=keys, versions=VERSIONS, search_seeds=(0,))
    leaders = [results.best_run(name) for name in results.leaderboard()["config_id"].iloc[:2]]
    runs = [run for run in leaders if run is not None]
    runs.append(Run(99, {}, runs[0].recipe.with_values({"lora.r": 77, "lora.lora_alpha": 99})))
    for run, seed in itertools.product(runs, (5, 6)):
        fresh = replace(run, recipe=replace(run.recipe, seed=seed))
        results.add(fresh)
        (folder / "runs" / fresh.id).mkdir(parents=True)
        predictions = LABELS + (9 + seed) * NOISE
        np.save(folder / "runs" / fresh.id / "predictions.npy", predictions)
        results.handle(Finished(fresh.id, outcome_of(fresh, predictions)))
    results.write_tables()


def told_of_settings(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Figures of what settings do, without their hover texts, and the words below the strips."""
    found = {
        name: json.loads(json.dumps(figure, default=float))
        for name, figure in study_figures(folder).items()
        if name.partition("-")[0] in ("effects", "together")
    }
    for figure in found.values():
        for trace in figure["data"]:
            trace.pop("hovertext", None)
    text = page(folder).text
    return found, re.findall(r"\S+ above \S+ by [^()]*", text)


@pytest.mark.long
def test_what_settings_do_rests_on_the_search_whatever_is_confirmed(tmp_path: Path) -> None:
    keys = (*KEYS, "trainer.learning_rate")
    values = itertools.product((4, 8), (8, 16), ("qv", "all-linear"), (1e-3, 2e-3))
    configs = [dict(zip((*KEYS[:2], *keys[3:]), row, strict=True)) for row in values]
    study(tmp_path / "s", configs, more={"trainer.learning_rate": (1e-3, 2e-3)})
    figures, words = told_of_settings(tmp_path / "s")
    assert len(figures) == 7
    assert words
    assert "Scores are those of the search" not in page(tmp_path / "s").text
    confirm(tmp_path / "s", keys)
    board = pd.read_csv(tmp_path / "s" / "leaderboard.csv")
    fresh = board[board["confirmed"]]
    assert (len(fresh), fresh["search_mean"].count()) == (3, 2)
    assert fresh["mean"].max() < board["search_mean"].min()
    assert told_of_settings(tmp_path / "s") == (figures, words)
    found = page(tmp_path / "s")
    assert "Scores are those of the search" in found.text
    hovers = json.dumps(found.figures["effects-1-1"])
    assert f"<b>{fresh['search_mean'].max():.4f}</b><br>#1 " in hovers, "no interval of others"
    shown = json.dumps(found.figures["scores-1-1"])
    assert "r=77" in shown, "the ranking holds what the search did not finish"
