"""What is said of LoRA beside scores that take no LoRA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sweep.stats.interval import Interval
from sweep.study.baselines import (
    Baselines,
    BaselineScore,
    Cost,
    LeftOut,
    read_baselines,
    write_baselines,
)
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
    assert found.line.startswith("On dev: LoRA 0.8500 · linear head 0.6100 (LoRA +0.24")
    assert "· cosine without training 0.7900 (LoRA +0.0600" in found.line


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
        "On dev: LoRA 0.8500 · linear head 0.6100 · cosine without training 0.7900."
    )


def test_file_comes_back_as_it_was(tmp_path: Path) -> None:
    found = beside(Interval(0.06, 0.02, 0.1), None)
    write_baselines(StudyFiles(tmp_path), found)
    assert read_baselines(StudyFiles(tmp_path)) == found


def test_full_fine_tuning_that_lora_is_not_ahead_of_is_no_warning() -> None:
    full = BaselineScore(
        "full",
        "learning rate 5e-5",
        Interval(0.858, 0.83, 0.88),
        0.85,
        22_700_000,
        95.0,
        lead=Interval(-0.008, -0.02, 0.004),
        memory_mb=900.0,
        config_id="full-1",
        seeds=(1, 2),
        runs=(0.857, 0.859),
    )
    both = beside(Interval(0.06, 0.02, 0.1), None)
    found = replace(both, scores=(*both.scores, full), cost=Cost(74_257, 31.0, 620.0))
    assert found.warning is None
    assert found.line is not None
    assert found.line.startswith(
        "On dev: LoRA 0.8500 · full fine-tuning 0.8580 (not distinguishable: LoRA -0.0080 "
    )
    assert found.cost_line == (
        "A run trains and takes: LoRA 74.3k parameters, 31 s, 620 MB · full fine-tuning 22.7M "
        "parameters, 1 min 35 s, 900 MB · linear head 385 parameters, 9.0 s · cosine without "
        "training 0 parameters, 3.0 s."
    )


def test_baseline_without_a_score_is_named_with_its_reason() -> None:
    found = replace(beside(None, None), left_out=(LeftOut("head", "all are the same"),))
    assert found.sentences[-1] == "Linear head has no score: all are the same."
