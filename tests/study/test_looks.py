"""The ledger of looks: what counts as another one, and what it does to the verdict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recorded import LABELS, finish, open_results, outcome, run_of
from sweep.stats.comparison import ERROR, error_of_look
from sweep.study.files import StudyFiles
from sweep.study.folder import open_folder
from sweep.study.looks import Looks, read_looks
from sweep.study.tables import Results

SETTINGS = {"model": {"path": "m"}, "seed": 0}


def begun(folder: Path, num_configs: int = 3) -> Results:
    np.save(StudyFiles(folder).dev_labels, LABELS)
    results = open_results(folder, baseline=run_of(0, 1).recipe.config_id)
    for trial in range(num_configs):
        for seed in (0, 1):
            score = 0.80 + trial / 100 + seed / 1000
            finish(results, run_of(trial, trial + 1, seed=seed), outcome(score))
    return results


def number(results: Results) -> int:
    verdict = results.verdict()
    assert verdict is not None
    return verdict.looks


def test_error_is_that_of_one_look_at_first_and_once_more_for_all_later_ones() -> None:
    errors = [error_of_look(look) for look in range(1, 10_000)]
    assert errors[0] == ERROR
    assert errors == sorted(errors, reverse=True)
    assert sum(errors) == pytest.approx(2 * ERROR, rel=1e-3)
    assert sum(errors) < 2 * ERROR


def test_same_scores_are_the_same_look_however_often(tmp_path: Path) -> None:
    results = begun(tmp_path)
    for _ in range(3):
        assert number(results) == 1
        results.looked_at()
    again = open_results(tmp_path, baseline=run_of(0, 1).recipe.config_id)
    again.looked_at()
    assert number(again) == 1
    (look,) = read_looks(StudyFiles(tmp_path)).looks
    assert look.runs == 6
    assert look.best == run_of(2, 3).recipe.config_id


def test_study_that_grows_is_looked_at_again_and_says_so(tmp_path: Path) -> None:
    results = begun(tmp_path)
    first = results.verdict()
    results.looked_at()
    assert first is not None
    assert "look" not in " ".join(first.sentences)
    finish(results, run_of(0, 1, seed=2), outcome(0.80))
    # Tables that are written on the way are no looks.
    results.write_tables()
    assert number(results) == 2
    results.looked_at()
    finish(results, run_of(3, 9), outcome(0.79))
    results.close()
    kept = json.loads((tmp_path / "verdict.json").read_text(encoding="utf-8"))
    assert kept["looks"] == 3
    assert "This is look 3 at this study" in " ".join(kept["sentences"])
    assert len(read_looks(StudyFiles(tmp_path)).looks) == 2


def test_lead_is_less_sure_with_every_look_and_ties_only_grow(tmp_path: Path) -> None:
    results = begun(tmp_path)
    ranking = results.ranking()
    lows, ties = [], []
    for looks in (1, 2, 3, 10, 50):
        comparison = type(ranking)(
            ranking.contenders, ranking.recipes, ranking.trials, ranking.folder, looks=looks
        ).leaders
        assert comparison is not None
        lows.append(comparison.lead_over(2)[1])
        ties.append(int(comparison.tied.sum()))
        assert bool(comparison.tied[2]) == (lows[-1] <= 0)
    assert lows == sorted(lows, reverse=True)
    assert ties == sorted(ties)


def test_study_that_is_begun_again_keeps_its_looks_on_the_same_dev_pairs(tmp_path: Path) -> None:
    folder = tmp_path / "연구"
    folder.mkdir()
    open_folder(folder, SETTINGS, resume="continue")
    begun(folder).looked_at()
    open_folder(folder, SETTINGS, resume="restart")
    assert {path.name for path in folder.iterdir()} == {"looks.json", "config.yaml"}
    assert number(begun(folder, num_configs=2)) == 2
    np.save(StudyFiles(folder).dev_labels, LABELS[::-1])
    assert number(open_results(folder)) == 1


def test_study_of_an_older_program_or_with_a_damaged_ledger_is_at_its_first_look(
    tmp_path: Path,
) -> None:
    files = StudyFiles(tmp_path)
    results = begun(tmp_path)
    assert number(results) == 1
    files.looks.write_text("{", encoding="utf-8")
    assert read_looks(files) == Looks()
    again = open_results(tmp_path)
    again.looked_at()
    assert len(read_looks(files).looks) == 1
