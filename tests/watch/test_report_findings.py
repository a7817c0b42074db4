"""What other parts of the program found out about a study, as the report shows it."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from studies import (
    GRID,
    KEYS,
    LABELS,
    NOISE,
    VERSIONS,
    Page,
    outcome_of,
    put,
    study,
    study_board,
    with_findings,
)
from sweep.commands.closing_words import pruning_lines
from sweep.core.recipe import Recipe
from sweep.loop.pruning import Ended, pruning_audit, whole_steps
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState
from sweep.study.tables import Results
from sweep.watch.report import build_report, study_figures
from sweep.watch.report.factors import factor_of, matches
from sweep.watch.report.figures.cost import pareto_front
from sweep.watch.report.figures.settings import score_grid
from sweep.watch.report.palette import DARK, LIGHT, painted
from sweep.watch.report.study import Study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "s")
    return tmp_path / "s"


def page(folder: Path) -> Page:
    return Page(build_report(folder))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("full") / "s"
    study(folder)
    with_findings(folder)
    return page(folder)


def test_verdict_of_the_file_comes_before_our_own(full: Page) -> None:
    verdict = full.text[: full.text.index("Filter")]
    assert "r 8 on all-linear is as good as the best." in verdict
    assert "It beats the default by +0.02." in verdict
    assert "Best of 8 configs" not in verdict
    assert "+0.021" in verdict
    assert "+0.011 to +0.034" in verdict
    standing = {
        cell.strip() for cell in full.cells if cell.strip() in ("best", "recommended", "default")
    }
    assert standing == {"best", "recommended", "default"}


def test_verdict_of_configs_that_are_gone_is_not_shown(folder: Path) -> None:
    with_findings(folder)
    content = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    put(folder, "verdict.json", content | {"best": "gone"})
    assert "Best of 8 configs" in page(folder).text


@pytest.mark.parametrize("broken", ["", "{", "[]"])
def test_file_that_cannot_be_read_is_as_good_as_missing(folder: Path, broken: str) -> None:
    for name in ("verdict.json", "guard.json", "test.json", "plan.json"):
        (folder / name).write_text(broken, encoding="utf-8")
    (folder / "effects.csv").write_text("", encoding="utf-8")
    assert "Best of 8 configs" in page(folder).text


def test_effects_are_said_with_interval_and_whether_they_can_be_told(full: Page) -> None:
    assert "targets qv against all-linear: -0.300 (95 % interval -0.320 to -0.280)." in full.text
    said = "dropout 0.1 against 0.0: -0.002 (95 % interval -0.010 to +0.006): not distinguishable."
    assert said in full.text
    marks = {trace["name"]: trace["y"] for trace in full.figures["effects-1-1"]["data"]}
    assert marks["told apart"] == [1]


def test_keys_that_changed_together_are_all_named_wherever_they_are_told(folder: Path) -> None:
    with_findings(folder)
    for name in ("effects.csv", "importance.csv"):
        text = (folder / name).read_text(encoding="utf-8")
        merged = text.replace("lora.target_modules", "lora.r + lora.lora_alpha")
        (folder / name).write_text(merged, encoding="utf-8")
    found = page(folder)
    assert "r + alpha qv against all-linear: -0.300" in found.text
    assert "r + alpha" in found.figures["importance-1-1"]["data"][0]["y"]
    rows = found.figures["effects-1-1"]["layout"]["yaxis"]["ticktext"]
    assert "r + alpha: all-linear" in rows


def test_importance_is_drawn_with_its_interval_the_largest_on_top(full: Page) -> None:
    (trace,) = full.figures["importance-1-1"]["data"]
    assert trace["y"] == ["dropout", "targets"]  # plotly draws from below
    assert trace["error_x"]["array"] == pytest.approx([0.05, 0.05])
    assert trace["error_x"]["arrayminus"] == pytest.approx([0.05, 0.1])


def test_rank_use_is_said_by_rank_and_drawn_by_layer_and_module(full: Page) -> None:
    assert "r=16 used 4.5 on average (4.0 to 5.0 by layer and module, 1 run)." in full.text
    (trace,) = full.figures["ranks-1-2"]["data"]
    assert (trace["x"], trace["y"]) == (["query", "value"], ["0", "1"])
    assert trace["z"] == [[4.0, 4.0], [5.0, 5.0]]


def test_rank_maps_show_every_module_wherever_it_is_and_whatever_is_known_of_it(
    folder: Path,
) -> None:
    with_findings(folder)
    use = [
        *(("c", "c-s0", n, "query", 8, 2.0, 0.1 * n) for n in (0, 2, 10)),
        ("c", "c-s0", 0, "value", 8, None, 0.0),  # its update is zero
        ("c", "c-s0", None, "pooler.dense", 8, 3.0, 9.9),
    ]
    columns = ["config_id", "run_id", "layer", "module", "rank", "effective_rank", "norm"]
    table = pd.DataFrame(use, columns=columns).astype({"layer": "Int64"})
    table.to_csv(folder / "rank_use.csv", index=False)
    figures = page(folder).figures
    (ranks,), (norms,) = (figures[f"ranks-{n}-1"]["data"] for n in (1, 2))
    for trace in (ranks, norms):
        assert trace["x"] == ["pooler.dense", "query", "value"]
        assert trace["y"] == ["0", "2", "10", "outside"]
    assert ranks["z"][0] == [None, 2.0, None]
    assert ranks["z"][3] == [3.0, None, None]
    assert norms["z"][0] == [None, 0.0, 0.0]
    assert norms["hovertext"][3][0] == "<b>9.90</b><br>outside of the layers, pooler.dense"
    assert norms["hovertext"][2][1] == "<b>1.00</b><br>layer 10, query"


def test_update_of_zero_is_not_counted_as_a_rank(folder: Path) -> None:
    with_findings(folder)
    columns = "config_id,run_id,layer,module,rank,effective_rank,norm"
    rows = ["c,c-s0,0,query,8,,0.0", "d,d-s0,0,query,4,2.0,0.5"]
    (folder / "rank_use.csv").write_text("\n".join([columns, *rows]), encoding="utf-8")
    text = page(folder).text
    assert "r=4 used 2.0 on average" in text
    assert "r=8 used" not in text


def test_guard_shows_the_gravest_first_with_examples(full: Page) -> None:
    text = full.text
    assert text.index("12 dev pairs are in train as well.") < text.index("Labels are alike.")
    assert "고양이가 앉아 있다 / A <b>cat</b> sits." in text


def test_guard_without_findings_says_so(folder: Path) -> None:
    put(folder, "guard.json", {"findings": []})
    assert "Nothing was found." in page(folder).text


def test_test_scores_stand_beside_each_other(full: Page) -> None:
    cells = full.cells[full.cells.index("exported") :]
    assert cells[2] == "0.8412"
    assert cells[3:6:2] == ["baseline", "–"]


def test_plan_is_compared_with_what_was_measured(full: Page) -> None:
    said = "Seconds per run: measured 1.50 times the plan in the middle of 8 configs."
    assert said in full.text
    assert "The whole sweep: 3 min planned with 2 workers, 2 min of training each." in full.text
    assert "plan-2-1" not in full.figures, "no memory was planned"


def test_every_figure_of_a_full_report_is_one_that_plotly_takes(folder: Path) -> None:
    with_findings(folder)
    figures = study_figures(folder)
    anchors = {name.partition("-")[0] for name in figures}
    assert anchors >= {"scores", "effects", "importance", "together", "curves", "cost", "ranks"}
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in figures)
    for figure, palette in itertools.product(figures.values(), (LIGHT, DARK)):
        ready = painted(figure, palette)
        assert go.Figure(data=ready["data"], layout=ready["layout"]).data
        assert '"@' not in json.dumps(ready)


def test_label_that_looks_like_a_token_stays_a_label() -> None:
    figure = {"x": ["@ink"], "marker": {"color": "@ink"}, "colorscale": [[0, "@low"]]}
    assert painted(figure, LIGHT) == {
        "x": ["@ink"],
        "marker": {"color": LIGHT["ink"]},
        "colorscale": [[0, LIGHT["low"]]],
    }


def test_parallel_coordinates_take_every_config_through_every_setting(full: Page) -> None:
    figure = full.figures["together-1-1"]
    assert [trace["name"] for trace in figure["data"]][-1] == "highest fifth"
    paths = sum(trace["x"].count(None) for trace in figure["data"])
    assert paths == 8
    assert figure["layout"]["xaxis"]["ticktext"][-1] == "dev Pearson"
    heights = [y for trace in figure["data"] for y in trace["y"] if y is not None]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < min(heights) <= max(heights) < high


def test_labels_named_low_and_high_are_one_dimension_with_all_of_their_keys(folder: Path) -> None:
    read = Study.read(folder)
    ranks = dict(
        zip(("low", "high"), read.settings["search"]["space"]["rank"].values(), strict=True)
    )
    space = {**read.settings["search"]["space"], "rank": ranks}
    named = replace(read, settings={**read.settings, "search": {"space": space}})
    assert [f.name for f in named.factors] == [f.name for f in read.factors]


def test_heat_map_needs_rank_and_alpha_that_vary_apart(tmp_path: Path) -> None:
    apart = [
        {**GRID[1], "lora.r": r, "lora.lora_alpha": alpha, "lora.lora_dropout": p}
        for r, alpha, p in itertools.product((4, 8), (8, 16), (0.0, 0.1))
    ]
    study(tmp_path / "apart", apart)
    study(tmp_path / "pairs")
    for name, drawn in (("apart", True), ("pairs", False)):
        board = study_board(tmp_path / name)
        rank, alpha = (factor_of(board, [key]) for key in ("lora.r", "lora.lora_alpha"))
        grid = score_grid(board, rank, alpha)
        assert (grid is not None) == drawn
        if grid is not None:
            expected = board.groupby(["lora.r", "lora.lora_alpha"])["mean"].mean()
            assert list(itertools.chain(*grid["data"][0]["z"])) == pytest.approx(list(expected))
            assert "configs: 2" in grid["data"][0]["hovertext"][0][0]


def test_nothing_on_the_front_is_beaten_at_its_cost() -> None:
    configs = pd.DataFrame(
        {"mean": [0.5, 0.9, 0.8, 0.9, 0.7], "cost": [1, 40, 20, 30, 25], "label": list("abcde")}
    )
    assert list(pareto_front(configs, "cost")["label"]) == ["a", "c", "d"]


def asha(folder: Path) -> Results:
    """A study with 8 complete runs, one of them audited, and two pruned half-way."""
    results = study(folder)
    rungs = (Evaluation(100, 1.5, 0.1, 0.1, 0.5),)
    for trial, r in ((8, 32), (9, 64)):
        recipe = Recipe().with_values({**GRID[0], "lora.r": r})
        run = Run(trial, {"cell": trial}, recipe)
        results.add(run)
        outcome = Outcome(RunState.PRUNED, reason="weak", evaluations=rungs, steps=100)
        results.handle(Finished(run.id, outcome))
    first = results.records()[1]
    assert first.outcome is not None
    audited = replace(first.outcome, audited_step=100)
    results.handle(Finished(first.run.id, audited))
    results.write_tables()
    return results


def test_pruned_runs_are_marked_where_they_ended(tmp_path: Path) -> None:
    asha(tmp_path / "s")
    found = page(tmp_path / "s")
    traces = found.figures["curves-1-1"]["data"]
    (lines, marks) = [trace for trace in traces if trace.get("legendgroup") == "pruned"]
    assert lines["x"].count(None) == 2
    assert (marks["x"], marks["y"]) == ([100, 100], [0.1, 0.1])
    assert all(text.startswith("pruned: ") for text in marks["hovertext"])
    (audited,) = [trace for trace in traces if trace.get("name") == "audited"]
    assert audited["x"] == [100]


def test_pruning_is_audited(tmp_path: Path) -> None:
    asha(tmp_path / "s")
    text = page(tmp_path / "s").text
    assert "2 of 10 runs were ended early, which saved 10% of the training steps." in text
    board = study_board(tmp_path / "s").set_index("trial")
    among = "1 of them" if board["tied_with_best"][1] else "none of them"
    said = f"1 run that was to be ended was trained on as a check: {among} ended among the best."
    assert said in text


def test_audit_counts_configs_of_the_audited_among_the_best() -> None:
    ended = [
        Ended("a", 100, pruned=False, audited=False),
        Ended("b", 100, pruned=False, audited=True),
        Ended("c", 100, pruned=False, audited=True),
        Ended("d", 25, pruned=True, audited=False, whole=100),
        Ended("e", 50, pruned=True, audited=False, whole=100),
    ]
    audit = pruning_audit(ended, {"a", "b"})
    assert audit is not None
    assert (audit.pruned, audit.audited, audit.audited_best) == (2, 2, 1)
    assert audit.saved == pytest.approx(125 / 500)
    assert audit.pruned_at == {25: 1, 50: 1}
    assert pruning_audit(ended[:3], {"a"}) is None


def test_saved_share_measures_each_run_by_its_own_length() -> None:
    """Where epochs or batch sizes are searched, the longest run is no measure for the others."""
    long = Ended("a", 400, pruned=False, audited=False, whole=400)
    short = Ended("b", 50, pruned=True, audited=False, whole=100)
    audit = pruning_audit([long, short], {"a"})
    assert audit is not None
    assert audit.saved == pytest.approx(50 / 500)
    unknown = pruning_audit([long, short, replace(short, whole=None)], {"a"})
    assert unknown is not None
    assert (unknown.pruned, unknown.saved) == (2, None)


@pytest.mark.parametrize(
    ("max_steps", "epochs", "rungs", "whole"),
    [
        (200, 3.0, [], 200),
        (200, 3.0, [(50, 0.25)], 200),
        (-1, 3.0, [(125, 1.0)], 375),
        (-1, 3.0, [(125, 1.0), (250, 2.0)], 375),
        (-1, 0.8, [(20, 0.16)], 100),
        (-1, 3.0, [], None),
        (-1, 3.0, [(20, 0.0)], None),
    ],
)
def test_length_of_a_run_is_told_by_its_recipe_and_its_evaluations(
    max_steps: int, epochs: float, rungs: list[tuple[int, float]], whole: int | None
) -> None:
    assert whole_steps(max_steps=max_steps, epochs=epochs, rungs=rungs) == whole


def test_share_that_is_not_known_is_not_told(tmp_path: Path) -> None:
    results = asha(tmp_path / "s")
    stopped = results.records()[-1]
    results.handle(Finished(stopped.run.id, Outcome(RunState.PRUNED, reason="by hand", steps=7)))
    results.write_tables()
    assert "2 of 10 runs were ended early." in page(tmp_path / "s").text
    assert pruning_lines(results.records(), results.configs())[0] == "pruned   2 of 10 runs"


def scored(**settings: list[Any]) -> pd.DataFrame:
    """Configs c0, c1, ... with these settings, written `lora_r`, and a score each."""
    columns = {name.replace("_", ".", 1): values for name, values in settings.items()}
    number = len(next(iter(columns.values())))
    ids, scores = zip(*((f"c{n}", 0.5 + 0.01 * n) for n in range(number)), strict=True)
    return pd.DataFrame({"config_id": ids, "mean": scores, **columns})


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


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        # A grid of two settings: each column is a group.
        ({"lora_r": [4, 8, 4, 8], "lora_bias": ["a", "a", "b", "b"]}, [2, 2]),
        # Alike in all that was searched: a level holds both.
        ({"lora_r": [4, 4, 8, 8], "lora_bias": ["a", "a", "a", "b"]}, [3]),
        # Alike only when rounded: neither one level nor a match.
        ({"lora_r": [4, 8, 8, 8], "lora_dropout": [0.10001, 0.10002, 0.2, 0.3]}, []),
        # A level of values that only look alike: all are in it.
        ({"lora_dropout": [0.10001, 0.10002, 0.2], "lora_bias": ["a", "a", "a"]}, [3]),
        # Thirds: no two configs differ in a third alone.
        ({"lora_r": list(range(1, 13)), "lora_bias": ["a"] * 12}, []),
    ],
)
def test_matches_hold_every_config_that_differs_in_one_factor_alone(
    settings: dict[str, list[Any]], groups: list[int]
) -> None:
    configs = scored(**settings)
    keys = [column for column in configs if "." in column]
    factors = [factor_of(configs, [key]) for key in keys]
    found = matches(configs, factors[0], factors)
    assert [sum(map(len, match.values())) for match in found] == groups


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
    (folder / "verdict.json").unlink()


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


def test_what_settings_do_rests_on_the_search_whatever_is_confirmed(tmp_path: Path) -> None:
    keys = (*KEYS, "trainer.learning_rate")
    values = itertools.product((4, 8), (8, 16), ("qv", "all-linear"), (1e-3, 2e-3))
    configs = [dict(zip((*KEYS[:2], *keys[3:]), row, strict=True)) for row in values]
    study(tmp_path / "s", configs)
    Results(tmp_path / "s", searched_keys=keys, versions=VERSIONS).write_tables()
    figures, words = told_of_settings(tmp_path / "s")
    assert len(figures) == 6
    assert words
    assert "Scores are those of the search" not in page(tmp_path / "s").text
    confirm(tmp_path / "s", keys)
    board = Study.read(tmp_path / "s").configs
    fresh = board[board["confirmed"]]
    assert (len(fresh), fresh["search_mean"].count()) == (3, 2)
    assert fresh["mean"].max() < board["search_mean"].min()
    assert told_of_settings(tmp_path / "s") == (figures, words)
    found = page(tmp_path / "s")
    assert "Scores are those of the search" in found.text
    hovers = json.dumps(found.figures["effects-1-1"])
    assert f"<b>{fresh['search_mean'].max():.4f}</b><br>#1 " in hovers, "no interval of others"
    shown = json.dumps(found.figures["scores-1-1"])
    assert "r 77" in shown, "the ranking holds what the search did not finish"
