"""The frozen base without LoRA, scored at the end of a sweep, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr

from command_line import run
from sweep.study.study import Study


def test_study_knows_what_its_base_scores_without_lora(trained_study: Path) -> None:
    study = Study.open(trained_study)
    found = study.baselines
    assert found is not None
    assert [score.kind for score in found.scores] == ["cosine", "head", "full"]
    for score in found.scores[:2]:
        expected = pearsonr(np.array(score.values), study.dev_labels).statistic
        assert score.pearson.value == pytest.approx(expected, abs=1e-9)
        assert score.pearson.ci_low < score.pearson.value < score.pearson.ci_high
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
