"""Effects and importance of a study, as files and sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from sweep.study.effects_files import matters_line, write_findings
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
    folder: Path, configs: Sequence[dict[str, Any]], seeds: Sequence[int] = (0, 1)
) -> Ranking:
    """A study in which q/v is clearly worse and a q/v adapter of rank r costs a quarter."""
    np.save(folder / "dev_labels.npy", LABELS)
    runs = []
    for (trial, params), seed in product(enumerate(configs), seeds):
        run = Run(trial, {}, replace(Recipe().with_values(params), seed=seed))
        noise = 1.5 if params.get(TARGETS) == "qv" else 1.0
        own = np.random.default_rng([22, trial, seed]).normal(scale=0.1, size=len(LABELS))
        predictions = LABELS + noise * SHARED + own
        run_dir = folder / "runs" / run.id
        run_dir.mkdir(parents=True)
        np.save(run_dir / "predictions.npy", predictions)
        wide = params.get(TARGETS) == "all-linear"
        score = float(np.corrcoef(predictions, LABELS)[0, 1])
        lora_params = params.get(R, 8) * (4000 if wide else 1000)
        runs.append((run, Outcome(RunState.COMPLETE, pearson=score, lora_params=lora_params)))
    return Ranking.of(runs, folder, keys=tuple(configs[0]), search_seeds=None)


def sentences(folder: Path) -> str:
    content = json.loads((folder / "effects.json").read_text(encoding="utf-8"))
    return " ".join(content["sentences"])


def test_files_and_words_tell_what_matters(tmp_path: Path) -> None:
    configs = [{R: r, ALPHA: 2 * r, TARGETS: t} for r, t in product((4, 8), ("qv", "all-linear"))]
    effects = write_findings(board(tmp_path, configs), tmp_path, keys=(R, ALPHA, TARGETS))
    table = pd.read_csv(tmp_path / "effects.csv")
    assert list(table.columns) == [
        *("key", "level", "num_configs", "mean", "difference"),
        *("ci_low", "ci_high", "distinguishable"),
    ]
    qv = table[table["level"] == "qv"].iloc[0]
    assert qv["ci_low"] < qv["difference"] < qv["ci_high"] < 0
    assert pd.read_csv(tmp_path / "importance.csv")["key"].iloc[0] == TARGETS
    assert "targets: all-linear is ahead of qv by +" in sentences(tmp_path)
    assert "r + alpha: not distinguishable" in sentences(tmp_path)
    (line,) = matters_line(effects)
    assert line == "matters: targets (all-linear is best); not distinguishable: r + alpha"


def test_targets_are_compared_at_equal_parameter_count(tmp_path: Path) -> None:
    configs = [{R: r, ALPHA: 2 * r, TARGETS: t} for r, t in product((4, 16), ("qv", "all-linear"))]
    write_findings(board(tmp_path, configs), tmp_path, keys=(R, ALPHA, TARGETS))
    assert "at equal parameter count (1 pairs) all-linear is +" in sentences(tmp_path)


def test_scaling_and_learning_rate_are_shown_together(tmp_path: Path) -> None:
    configs = [{ALPHA: a, RATE: rate} for a, rate in product((8, 16, 32), (1e-4, 1e-3))]
    write_findings(board(tmp_path, configs), tmp_path, keys=(ALPHA, RATE))
    assert "lr x alpha/r" in sentences(tmp_path)


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
    effects = write_findings(board(tmp_path, configs, seeds=(0,)), tmp_path, keys=(R,))
    assert len(effects) == (2 if len(configs) > 1 else 0)
    assert not any(e.distinguishable for e in effects)


def test_study_without_predictions_has_no_effects(tmp_path: Path) -> None:
    found = board(tmp_path, [{R: 4}, {R: 8}])
    (tmp_path / "dev_labels.npy").unlink()
    assert write_findings(found, tmp_path, keys=(R,)) == []
    assert not (tmp_path / "effects.csv").exists()
