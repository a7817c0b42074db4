"""Effects and importance of a study, as files and sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sweep.core.recipe import Recipe
from sweep.loop.trial import Outcome, Run, RunState
from sweep.stats.statistics import Sample
from sweep.study.effects_files import (
    Effects,
    answer_lines,
    matters_line,
    read_effects,
    write_findings,
)
from sweep.study.files import StudyFiles
from sweep.study.ranking import Ranking

LABELS = np.random.default_rng(20).uniform(0, 5, 200)
SHARED = np.random.default_rng(21).normal(size=200)
R, ALPHA, TARGETS, RATE = (
    "lora.r",
    "lora.lora_alpha",
    "lora.target_modules",
    "trainer.learning_rate",
)


def board(
    folder: Path,
    configs: Sequence[dict[str, Any]],
    seeds: Sequence[int] = (0, 1),
    *,
    noise_by_rank: Mapping[int, float] | None = None,
) -> Ranking:
    """A study in which q/v is clearly worse and a q/v adapter of rank r costs a quarter.

    Args:
        noise_by_rank: Of q/v, where not 1.5.
    """
    np.save(folder / "dev_labels.npy", LABELS)
    runs = []
    for (trial, params), seed in product(enumerate(configs), seeds):
        run = Run(trial, {}, replace(Recipe().with_values(params), seed=seed))
        of_qv = (noise_by_rank or {}).get(params.get(R, 8), 1.5)
        noise = of_qv if params.get(TARGETS) == "qv" else 1.0
        own = np.random.default_rng([22, trial, seed]).normal(scale=0.1, size=len(LABELS))
        predictions = LABELS + noise * SHARED + own
        run_dir = folder / "runs" / run.id
        run_dir.mkdir(parents=True)
        np.save(run_dir / "predictions.npy", predictions)
        wide = params.get(TARGETS) == "all-linear"
        score = float(np.corrcoef(predictions, LABELS)[0, 1])
        lora_params = params.get(R, 8) * (4000 if wide else 1000)
        runs.append((run, Outcome(RunState.COMPLETE, score=score, lora_params=lora_params)))
    return Ranking.of(runs, folder, keys=tuple(configs[0]), search_seeds=None)


def sentences(folder: Path) -> str:
    content = json.loads((folder / "effects.json").read_text(encoding="utf-8"))
    return " ".join(content["sentences"])


def test_files_and_words_tell_what_matters(tmp_path: Path) -> None:
    configs = [{R: r, ALPHA: 2 * r, TARGETS: t} for r, t in product((4, 8), ("qv", "all-linear"))]
    found = write_findings(board(tmp_path, configs), tmp_path, keys=(R, ALPHA, TARGETS))
    table = pd.read_csv(tmp_path / "effects.csv")
    assert list(table.columns) == [
        *("key", "level", "num_configs", "mean", "difference"),
        *("ci_low", "ci_high", "distinguishable", "elsewhere_low", "elsewhere_high"),
        *("cells_low", "cells_high", "most_at"),
    ]
    qv = table[table["level"] == "qv"].iloc[0]
    assert qv["ci_low"] < qv["difference"] < qv["ci_high"] < 0
    assert pd.read_csv(tmp_path / "importance.csv")["key"].iloc[0] == TARGETS
    assert "targets: all-linear is ahead of qv by +" in sentences(tmp_path)
    assert "r + alpha: not distinguishable" in sentences(tmp_path)
    (line,) = matters_line(found.effects)
    assert line == "matters: targets (all-linear is best); not distinguishable: r + alpha"


def test_confirmation_tells_the_luck_of_the_seed_that_one_seed_each_does_not(
    tmp_path: Path,
) -> None:
    """What a grid shows in every cell is said of its cells, and less surely of others."""
    configs = [{R: r, ALPHA: 2 * r, TARGETS: t} for r, t in product((4, 8), ("qv", "all-linear"))]
    search = board(tmp_path, configs, seeds=(0,), noise_by_rank={4: 1.3, 8: 2.5})
    write_findings(search, tmp_path, keys=(R, ALPHA, TARGETS))
    assert "targets: not distinguishable" in sentences(tmp_path)
    runs = [np.random.default_rng([23, seed]).normal(scale=0.1, size=200) for seed in range(6)]
    confirmed = Sample(tuple(range(1, 7)), np.stack([LABELS + SHARED + run for run in runs]))
    found = write_findings(replace(search, luck=(confirmed,)), tmp_path, keys=(R, ALPHA, TARGETS))
    assert "targets: all-linear is ahead of qv by +" in sentences(tmp_path)
    assert "in this grid; by +" in sentences(tmp_path)
    assert "depending on r + alpha, most at r=8 alpha=16; " in sentences(tmp_path)
    assert "beside other settings" in sentences(tmp_path)
    qv = next(e for e in found.effects if e.level == "qv")
    assert qv.elsewhere_low is not None
    assert qv.ci_low is not None
    assert qv.elsewhere_low < qv.ci_low
    assert read_effects(StudyFiles(tmp_path)).effects == found.effects


def test_targets_are_compared_at_equal_parameter_count(tmp_path: Path) -> None:
    configs = [{R: r, ALPHA: 2 * r, TARGETS: t} for r, t in product((4, 16), ("qv", "all-linear"))]
    write_findings(board(tmp_path, configs), tmp_path, keys=(R, ALPHA, TARGETS))
    assert "at equal parameter count (1 pair) all-linear is +" in sentences(tmp_path)


@pytest.mark.long
def test_scaling_and_learning_rate_are_shown_together(tmp_path: Path) -> None:
    configs = [{ALPHA: a, RATE: rate} for a, rate in product((8, 16, 32), (1e-4, 1e-3))]
    write_findings(board(tmp_path, configs), tmp_path, keys=(ALPHA, RATE))
    assert "lr x alpha/r" in sentences(tmp_path)


@pytest.mark.long
def test_equal_products_of_rate_and_scaling_are_ties(tmp_path: Path) -> None:
    """They are 1, 2, 4, ... times the smallest one, in four by four configs."""
    powers = list(product(range(4), range(4)))
    configs = [{ALPHA: 8 * 2**a, RATE: 1e-3 * 2**b} for a, b in powers]
    found = board(tmp_path, configs)
    write_findings(found, tmp_path, keys=(ALPHA, RATE))
    assert found.leaders is not None
    ids = [c.config_id for c in found.contenders]
    knob = {
        Recipe().with_values(config).config_id: a + b
        for config, (a, b) in zip(configs, powers, strict=True)
    }
    exact = spearmanr([knob[i] for i in ids], found.leaders.means).statistic
    assert f"lr x alpha/r {exact:+.2f} (" in sentences(tmp_path)


def test_rank_and_alpha_that_vary_freely_are_looked_at_together(tmp_path: Path) -> None:
    configs = [{R: r, ALPHA: a} for r, a in product((4, 8, 16), (8, 16, 32))]
    write_findings(board(tmp_path, configs), tmp_path, keys=(R, ALPHA))
    assert "r x alpha" in sentences(tmp_path)


@pytest.mark.parametrize("configs", [[{R: 4}], [{R: 4}, {R: 8}]])
def test_too_little_to_tell_is_no_failure(tmp_path: Path, configs: list[dict[str, Any]]) -> None:
    effects = write_findings(board(tmp_path, configs, seeds=(0,)), tmp_path, keys=(R,)).effects
    assert len(effects) == (2 if len(configs) > 1 else 0)
    assert not any(e.distinguishable for e in effects)


def test_study_without_predictions_has_no_effects(tmp_path: Path) -> None:
    found = board(tmp_path, [{R: 4}, {R: 8}])
    (tmp_path / "dev_labels.npy").unlink()
    assert write_findings(found, tmp_path, keys=(R,)) == Effects()
    assert not (tmp_path / "effects.csv").exists()


@pytest.mark.long
def test_answers_are_kept_as_numbers_and_said_at_the_end_of_a_sweep(tmp_path: Path) -> None:
    """Rank, alpha, targets and learning rate vary freely: all three questions have an answer."""
    values = product((4, 16), (8, 32), ("qv", "all-linear"), (1e-3, 2e-3))
    keys = (R, ALPHA, TARGETS, RATE)
    configs = [dict(zip(keys, row, strict=True)) for row in values]
    found = write_findings(board(tmp_path, configs), tmp_path, keys=keys)
    answers = found.answers
    assert answers.rank_and_alpha is not None
    assert answers.same_size is not None
    assert answers.same_size.difference.is_clear
    assert not answers.same_size.one_seed
    assert answers.one_knob is not None
    assert answers.one_knob.rate.ci_low <= answers.one_knob.rate.value
    kept = json.loads((tmp_path / "effects.json").read_text(encoding="utf-8"))["answers"]
    assert kept["same_size"]["difference"]["value"] == answers.same_size.difference.value
    assert answers.lines == found.sentences[-3:]
    first, *more = answer_lines(answers)
    assert first.startswith("lora     r x alpha: ")
    assert [line[:9].isspace() for line in more] == [True, True]


@pytest.mark.long
def test_effects_are_read_as_they_were_written(tmp_path: Path) -> None:
    configs = [{R: r, ALPHA: a, RATE: n} for r, a, n in product((4, 8), (8, 16), (1e-4, 1e-3))]
    keys = (R, ALPHA, RATE)
    found = write_findings(board(tmp_path, configs), tmp_path, keys=keys)
    read = read_effects(StudyFiles(tmp_path))
    assert read.sentences == found.sentences
    assert read.answers == found.answers
    assert [e.level for e in read.effects] == [e.level for e in found.effects]
    means = [e.mean for e in found.effects]
    assert [e.mean for e in read.effects] == pytest.approx(means)
    assert [e.ci_low for e in read.effects if e.difference == 0] == [None] * 3
    assert [i.key for i in read.importances] == [i.key for i in found.importances]


def test_effects_of_an_older_program_have_no_answers(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path)
    assert read_effects(files) == Effects()
    files.effects_in_words.write_text('{"sentences": ["r: 8 is best."]}', encoding="utf-8")
    assert read_effects(files) == Effects(sentences=("r: 8 is best.",))
