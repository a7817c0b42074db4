"""By which id MLflow knows a study: a small file, so that every start goes on in the same runs."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from sweep.core.files import write_text
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json, to_json


@dataclass(frozen=True)
class _Kept:
    study_id: str


def mlflow_study_id(files: StudyFiles) -> str:
    """The study's; it is on disk before MLflow hears of it."""
    kept = read_json(files.mlflow, _Kept, otherwise="MLflow gets the study as a new one")
    if kept is None:
        kept = _Kept(uuid4().hex)
        write_text(files.mlflow, to_json(kept))
    return kept.study_id
