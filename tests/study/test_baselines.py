"""What is said of LoRA beside scores that take no LoRA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sweep.stats.interval import Interval
from sweep.study.baselines import Baselines, BaselineScore, read_baselines, write_baselines
from sweep.study.files import StudyFiles

COSINE = BaselineScore("cosine", "mean", Interval(0.79, 0.75, 0.82), 0.78, 0, 3.0)
HEAD = BaselineScore("head", "ridge", Interval(0.61, 0.55, 0.66), 0.6, 385, 9.0)


def beside(*leads: Interval | None) -> Baselines:
    scores = [replace(s, lead=lead) for s, lead in zip((COSINE, HEAD), leads, strict=True)]
    return Baselines("d", tuple(scores), "c", "r=8 on qv", 0.85)


def test_scores_stand_side_by_side_with_what_lora_adds() -> None:
    found = beside(Interval(0.06, 0.02, 0.1), Interval(0.24, 0.2, 0.28))
    assert found.warning is None
    assert found.line is not None
    assert found.line.startswith("On dev: LoRA 0.8500; cosine without training 0.7900 (LoRA +0.06")
    assert "a linear head alone 0.6100" in found.line


def test_that_lora_is_not_ahead_for_sure_is_the_first_sentence() -> None:
    found = beside(Interval(0.01, -0.02, 0.04), Interval(0.24, 0.2, 0.28))
    assert found.sentences[0].startswith(
        "LoRA (r=8 on qv) is not ahead for sure of cosine without training: 0.8500 against 0.7900"
    )
    behind = beside(Interval(-0.02, -0.04, -0.01), Interval(0.24, 0.2, 0.28))
    assert "is behind cosine" in behind.sentences[0]


def test_without_predictions_nothing_is_claimed() -> None:
    found = beside(None, None)
    assert found.warning is None
    assert found.line == (
        "On dev: LoRA 0.8500; cosine without training 0.7900; a linear head alone 0.6100."
    )


def test_file_comes_back_as_it_was(tmp_path: Path) -> None:
    found = beside(Interval(0.06, 0.02, 0.1), None)
    write_baselines(StudyFiles(tmp_path), found)
    assert read_baselines(StudyFiles(tmp_path)) == found
