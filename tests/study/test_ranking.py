"""The leaderboard: means, ties, fronts, and what confirmation changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recorded import KEYS, LABELS, finish, open_results, outcome, run_of
from sweep.loop.confirm import Confirming
from sweep.loop.objectives import parse_objectives
from sweep.loop.trial import Finished, Outcome, RunState
from sweep.study.tables import Results
from sweep.watch.pareto import pareto_table


def test_leaderboard_ranks_means_and_says_what_can_not_be_told_apart(tmp_path: Path) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path)
    finish(results, run_of(0, 4), outcome(0.70), noise=3.0)
    finish(results, run_of(1, 8), outcome(0.92), noise=0.5)
    finish(results, run_of(1, 8, seed=1), outcome(0.90), noise=0.5)
    finish(results, run_of(2, 16), outcome(0.90), noise=0.5)
    board = results.leaderboard()
    assert board["trial"].tolist() == [1, 2, 0]
    assert board["rank"].tolist() == [1, 2, 3]
    assert board["n_seeds"].tolist() == [2, 1, 1]
    assert board["mean"].iloc[0] == pytest.approx(0.91)
    assert board["std"].iloc[0] == pytest.approx(0.01 * 2**0.5)
    assert pd.isna(board["std"].iloc[1])
    assert board["tied_with_best"].tolist() == [True, True, False]
    assert (board["ci_low"] < board["ci_high"]).all()


def test_leaderboard_of_two_objectives_shows_the_front_and_keeps_the_ranking(
    tmp_path: Path,
) -> None:
    objectives = parse_objectives(["pearson:max", "peak_memory_mb:min"])
    results = Results(tmp_path, searched_keys=KEYS, versions={}, objectives=objectives)
    finish(results, run_of(0, 8), outcome(0.8, peak_memory_mb=500.0))
    finish(results, run_of(1, 16), outcome(0.9, peak_memory_mb=900.0))
    finish(results, run_of(2, 32), outcome(0.7, peak_memory_mb=600.0))
    finish(results, run_of(3, 64), outcome(0.6))
    board = results.leaderboard()
    assert list(board["mean"]) == [0.9, 0.8, 0.7, 0.6]
    assert list(board["pareto"]) == [True, True, False, False]
    assert list(board["peak_memory_mb"])[:3] == [900.0, 500.0, 600.0]
    table = pareto_table(
        [row for row in results.configs() if row.pareto],
        objectives=["pearson", "peak_memory_mb"],
        keys=KEYS,
    )
    assert table.row_count == 2
    assert [column.header for column in table.columns] == ["Pearson", "MB", "r", "targets"]
    assert "pareto" not in open_results(tmp_path).leaderboard()


def test_front_rests_on_the_means_that_are_shown(tmp_path: Path) -> None:
    """The cheap config was lucky in the search; on fresh seeds the dear one is better."""
    np.save(tmp_path / "dev_labels.npy", LABELS)
    objectives = parse_objectives(["pearson:max", "lora_params:min"])
    results = open_results(tmp_path, search_seeds=(0,), objectives=objectives)
    for trial, r, params, scores in ((0, 4, 100, (0.99, 0.60, 0.60)), (1, 8, 200, (0.6, 0.7, 0.7))):
        for seed, score in enumerate(scores):
            finish(results, run_of(trial, r, seed=seed), outcome(score, lora_params=params))
    board = results.leaderboard()
    assert board["mean"].tolist() == pytest.approx([0.7, 0.6])
    assert board["pareto"].tolist() == [True, True]


def test_best_run_is_the_best_seed_of_the_best_mean(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    finish(results, run_of(0, 4, seed=0), outcome(0.99))
    finish(results, run_of(0, 4, seed=1), outcome(0.10))
    finish(results, run_of(1, 8, seed=0), outcome(0.80))
    finish(results, run_of(1, 8, seed=1), outcome(0.82))
    best = results.best_run()
    assert best is not None
    assert (best.trial, best.recipe.seed) == (1, 1)


def test_verdict_is_beside_the_leaderboard_and_agrees_with_it(tmp_path: Path) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path, baseline=run_of(1, 8).recipe.config_id)
    finish(results, run_of(0, 4), outcome(0.70), noise=3.0)
    finish(results, run_of(1, 8), outcome(0.92), noise=0.5)
    results.close()
    verdict = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    board = results.leaderboard()
    assert verdict["best"] == verdict["baseline"] == board["config_id"].iloc[0]
    assert verdict["tie_set"] == board.loc[board["tied_with_best"], "config_id"].tolist()
    assert "r=8 on query+value" in verdict["sentences"][0]


def test_ranking_rests_on_confirmation_runs_where_there_are_any(tmp_path: Path) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path, search_seeds=(0,))
    finish(results, run_of(0, 4), outcome(0.99))
    finish(results, run_of(1, 8), outcome(0.95))
    finish(results, run_of(2, 16), outcome(0.97))
    for seed in (7, 8):
        finish(results, run_of(1, 8, seed=seed), outcome(0.90))
        finish(results, run_of(2, 16, seed=seed), outcome(0.88))
    board = results.leaderboard()
    assert board["trial"].tolist() == [1, 2, 0]
    assert board["mean"].tolist() == pytest.approx([0.90, 0.88, 0.99])
    assert board["search_mean"].tolist() == pytest.approx([0.95, 0.97, 0.99])
    assert board["confirmed"].tolist() == [True, True, False]
    assert board["n_seeds"].tolist() == [2, 2, 1]
    assert pd.isna(board["tied_with_best"].iloc[2])
    assert board["ci_low"].notna().all()
    verdict = results.verdict()
    assert verdict is not None
    assert verdict.shrinkage == pytest.approx(0.05)


@pytest.mark.long
def test_confirmation_ranks_nobody_before_most_of_it_is_there(tmp_path: Path) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path, search_seeds=(0,))
    runs = [run_of(0, 4), run_of(1, 8), run_of(2, 16)]
    for run, score in zip(runs, (0.70, 0.90, 0.89), strict=True):
        finish(results, run, outcome(score))
    ids = tuple(run.recipe.config_id for run in runs)
    results.confirms(Confirming(ids, (1, 2, 3)))
    # The weakest happens to come first, then the others, one after the other.
    arrivals = [(0, 4, 0.70), (1, 8, 0.84), (2, 16, 0.85)]
    for seed in (1, 2):
        for place, (trial, r, score) in enumerate(arrivals):
            finish(results, run_of(trial, r, seed=seed), outcome(score))
            is_there = (seed, place) == (2, 2)
            # What another process finds in the folder says the same.
            for found in (results, open_results(tmp_path, search_seeds=(0,))):
                board, verdict = found.leaderboard(), found.verdict()
                assert verdict is not None
                assert board["trial"].tolist() == ([2, 1, 0] if is_there else [1, 2, 0])
                assert board["confirmed"].tolist() == [is_there] * 3
                done = 3 * (seed - 1) + place + 1
                said = f"not confirmed ({done} of 9 runs are done)" in verdict.sentences[-1]
                assert said != is_there
                assert "only config" not in verdict.sentences[0]
                best = found.best_run()
                assert best is not None
                assert best.trial == board["trial"].iloc[0]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.PRUNED])
def test_run_that_ends_without_a_score_holds_no_confirmation_back(
    tmp_path: Path, state: RunState
) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path, search_seeds=(0,))
    runs = [run_of(0, 4), run_of(1, 8), run_of(2, 16)]
    for run, score in zip(runs, (0.8, 0.7, 0.6), strict=True):
        finish(results, run, outcome(score))
    results.confirms(Confirming(tuple(run.recipe.config_id for run in runs), (1, 2)))
    lost = run_of(2, 16, seed=2)
    for seed in (1, 2):
        finish(results, run_of(0, 4, seed=seed), outcome(0.65))
        finish(results, run_of(1, 8, seed=seed), outcome(0.75))
    finish(results, run_of(2, 16, seed=1), outcome(0.99))
    assert results.leaderboard()["trial"].tolist() == [0, 1, 2]
    results.add(lost)
    results.handle(Finished(lost.id, Outcome(state, reason="why")))
    for found in (results, open_results(tmp_path, search_seeds=(0,))):
        # Half of its seeds are too few to lead.
        assert found.leaderboard()["trial"].tolist() == [1, 0, 2]
        verdict = found.verdict()
        assert verdict is not None
        assert verdict.confirmed
        assert "not confirmed" not in " ".join(verdict.sentences)


def test_search_that_grows_over_its_confirmation_is_no_longer_confirmed(tmp_path: Path) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path, search_seeds=(0,))
    runs = [run_of(0, 4), run_of(1, 8)]
    results.confirms(Confirming(tuple(run.recipe.config_id for run in runs), (1, 2)))
    for seed in (0, 1, 2):
        finish(results, run_of(0, 4, seed=seed), outcome(0.8))
        finish(results, run_of(1, 8, seed=seed), outcome(0.7))
    assert results.leaderboard()["confirmed"].all()
    grown = open_results(tmp_path, search_seeds=(0, 1, 2))
    assert not grown.leaderboard()["confirmed"].any()
    assert grown.leaderboard()["n_seeds"].tolist() == [3, 3]
    verdict = grown.verdict()
    assert verdict is not None
    assert "not confirmed" not in " ".join(verdict.sentences)


def test_run_on_a_seed_that_the_search_has_left_confirms_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "dev_labels.npy", LABELS)
    results = open_results(tmp_path, search_seeds=(1, 2))
    for trial, r in ((0, 4), (1, 8)):
        for seed, score in ((0, 0.9), (1, 0.8 - trial / 10), (2, 0.8 - trial / 10)):
            finish(results, run_of(trial, r, seed=seed), outcome(score))
    board = results.leaderboard()
    assert board["mean"].tolist() == pytest.approx([0.8, 0.7])
    assert board["confirmed"].tolist() == [False, False]


def test_best_run_of_a_named_config(tmp_path: Path) -> None:
    results = open_results(tmp_path)
    finish(results, run_of(0, 4), outcome(0.99))
    finish(results, run_of(1, 8), outcome(0.80))
    run = results.best_run(run_of(1, 8).recipe.config_id)
    assert run is not None
    assert run.trial == 1
    assert results.best_run("unknown") is None
