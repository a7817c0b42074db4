"""The frozen base without LoRA, scored at the end of a sweep, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr

from command_line import run
from sweep.core.recipe import Recipe
from sweep.data.findings import Split
from sweep.data.pairs import load_split
from sweep.export import baselines
from sweep.study.study import Study
from sweep.train.baselines import Untrained


def test_study_knows_what_its_base_scores_without_lora(trained_study: Path) -> None:
    study = Study.open(trained_study)
    found = study.baselines
    assert found is not None
    assert [score.kind for score in found.scores] == ["cosine", "head", "full"]
    for score in found.scores[:2]:
        expected = pearsonr(np.array(score.values), study.dev_labels).statistic
        assert score.score.value == pytest.approx(expected, abs=1e-9)
        assert score.score.ci_low < score.score.value < score.score.ci_high
        assert score.lead is not None
        assert score.lead.value == pytest.approx(found.mean - expected, abs=1e-9)
    card = (trained_study / "best" / "README.md").read_text(encoding="utf-8")
    page = (trained_study / "report.html").read_text(encoding="utf-8")
    assert found.line is not None
    assert found.line in card
    assert "Cosine without training" in page


def test_second_start_scores_nothing_again_and_none_leaves_it_out(
    copied_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    path = copied_study / "baselines.json"
    before = Study.open(copied_study).baselines
    code, out, _ = run(*study_arguments, capfd=capfd)
    assert code == 0
    assert Study.open(copied_study).baselines == before
    assert "On dev: LoRA" in out
    path.unlink()
    code, out, _ = run(*study_arguments, "baselines=none", capfd=capfd)
    assert code == 0
    assert not path.exists()
    assert "On dev: LoRA" not in out


def test_baseline_without_a_correlation_is_left_out_with_words(
    copied_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a base whose vectors are all alike: their cosine is 1 for every pair."""

    def frozen(_: object, recipe: Recipe, *given: object) -> list[Untrained]:
        splits: tuple[Split, ...] = ("dev", "test", "holdout")
        labels = {split: load_split(recipe.data, split).labels for split in splits}
        alike = {split: np.ones(len(found)) for split, found in labels.items() if found is not None}
        noisy = {split: known + np.sin(np.arange(len(known))) for split, known in alike.items()}
        return [
            Untrained("cosine", "mean of the tokens", 0, 1.0, alike),
            Untrained("head", "ridge regression", 33, 1.0, noisy),
        ]

    monkeypatch.setattr(baselines, "in_fresh_process", frozen)
    results = Study.open(copied_study).results()
    results.files.baselines.unlink()
    found = baselines.update_baselines(results, ("cosine", "head"), full=None, threads=1)
    assert found is not None
    assert [score.kind for score in found.scores] == ["head"]
    assert found.warning is None or "cosine" not in found.warning
    (left_out,) = found.left_out
    assert left_out.kind == "cosine"
    assert found.sentences[-1].startswith(
        "Cosine without training has no score: the predictions are constant up to rounding"
    )
    assert Study.open(copied_study).baselines == found
    # Nothing is scored twice, what has no score neither.
    monkeypatch.setattr(baselines, "in_fresh_process", None)
    again = baselines.update_baselines(results, ("cosine", "head"), full=None, threads=1)
    assert again == found
