"""An adapter that was let go comes back only as the one that the study has measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.core.errors import VerificationError
from sweep.core.recipe import Recipe
from sweep.export.bring_back import Train, bring_back
from sweep.loop.trial import Outcome, Run, RunState
from sweep.study.files import RunFiles, StudyFiles
from sweep.study.record import Record


def trained(score: float | None) -> Outcome:
    return Outcome(RunState.COMPLETE if score else RunState.FAILED, score=score, reason="NaN loss")


def training_to(score: float | None, asked: list[str]) -> Train:
    def train(run: Run, folder: Path) -> Outcome:
        asked.append(run.id)
        files = RunFiles(folder / run.id)
        files.adapter.mkdir(parents=True)
        for path in files.adapter_files:
            path.write_text("again")
        return trained(score)

    return train


def test_only_what_is_missing_is_trained_and_takes_its_place(
    recipe: Recipe, tmp_path: Path
) -> None:
    study, asked = StudyFiles(tmp_path), list[str]()
    records = [
        Record(Run(n, {}, one), RunState.COMPLETE, trained(0.5))
        for n, one in enumerate((recipe, recipe.with_values({"lora.r": 2})))
    ]
    there, missing = (study.run(record.run.id) for record in records)
    there.adapter.mkdir(parents=True)
    there.adapter_files[0].write_text("first")
    train = training_to(0.5 + 1e-7, asked)
    assert bring_back(records, study, threads=1, train=train) == asked == [records[1].run.id]
    assert there.adapter_files[0].read_text() == "first"
    assert [path.read_text() for path in missing.adapter_files] == ["again", "again"]
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


@pytest.mark.parametrize("score", [0.51, None])
def test_another_score_is_another_adapter(
    recipe: Recipe, tmp_path: Path, score: float | None
) -> None:
    record = Record(Run(0, {}, recipe), RunState.COMPLETE, trained(0.5))
    with pytest.raises(VerificationError, match="Trained again"):
        bring_back([record], StudyFiles(tmp_path), threads=1, train=training_to(score, []))
    assert not StudyFiles(tmp_path).run(record.run.id).has_adapter
    assert list(tmp_path.iterdir()) == []
