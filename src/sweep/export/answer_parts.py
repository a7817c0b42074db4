"""What is scored of a file so far: kept beside the file that it will become, so that a second run
goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.core.files import replacing_file, write_text
from sweep.data.token_ids import Seen
from sweep.export.answers import Answers
from sweep.export.predicting import Answered, Prediction, Tally
from sweep.study.files import ExportedFiles

#: Of the files that this module writes; other ones are not gone on with.
_FORMAT = 2
_JOB = "job.json"
_TALLY = b"tally"
#: A column for each class, in their order.
_SHARE = "share_"
#: What a job is told by, and the words for it.
_WORDS = {
    "pairs": "the file of pairs",
    "export": "the exported folder",
    "reading": "the flags that say how the file is read",
    "base": "--model",
    "form": "the form",
    "format": "the program's own format",
}


@dataclass(frozen=True)
class AnswerParts:
    """The parts of a file of answers, one a window, in a folder beside it.

    Args:
        out: The file that they will become.
    """

    out: Path

    @property
    def folder(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    def begin(self, job: Mapping[str, Any], *, restart: bool) -> int:
        """Make ready for a job; returns how many of its windows are there already.

        Args:
            job: Of `job_of`.
            restart: Throw away what is there.

        Raises:
            DataError: what is there is of another job.
        """
        if restart:
            self.remove()
        path = self.folder / _JOB
        if path.is_file():
            self._refuse_other(path, job)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise DataError(
                "The folder for what is scored so far must be the program's own.",
                value=f"{self.folder} holds something else",
                way_out="move it, or name another file with `--out`",
            )
        else:
            write_text(path, json.dumps(job, ensure_ascii=False))
        number = 0
        while self._part(number).is_file():
            number += 1
        return number

    def _refuse_other(self, path: Path, job: Mapping[str, Any]) -> None:
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            known = {}
        changed = [word for key, word in _WORDS.items() if known.get(key) != job[key]]
        if changed:
            raise DataError(
                "A job that was interrupted goes on with the same pairs, export and flags.",
                value=f"{self.folder} is of another one: {', '.join(changed)} changed",
                way_out="`--restart` scores all of it anew; or name another file with `--out`",
            )

    def write(self, answered: Answered) -> None:
        """Keep a window; it is there whole or not at all."""
        answers, seen = answered.answers, asdict(answered.tally)
        columns = {
            "text_a": pa.array(answers.text_a, pa.large_string()),
            "prediction": pa.array(answers.predictions, pa.float64()),
            "problem": pa.array(answers.problems, pa.large_string()),
        }
        if answers.text_b is not None:
            columns["text_b"] = pa.array(answers.text_b, pa.large_string())
        if answers.shares is not None:
            columns |= {f"{_SHARE}{i}": pa.array(one) for i, one in enumerate(answers.shares.T)}
        table = pa.table(columns).replace_schema_metadata({_TALLY: json.dumps(seen)})
        with replacing_file(self._part(answered.window.number)) as new:
            parquet.write_table(table, new)

    def read(self) -> Iterator[tuple[Answers, Tally]]:
        """Every window that is kept, in order."""
        number = 0
        while self._part(number).is_file():
            table = parquet.read_table(self._part(number))
            yield _answers(table), _tally(table)
            number += 1

    def remove(self) -> None:
        """Take away what this class has written, and the folder if nothing else is in it."""
        if not (self.folder / _JOB).is_file():
            return
        # The job last: without it, nobody knows whose the parts are.
        for path in (*self.folder.glob("*.parquet"), self.folder / _JOB):
            path.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:06}.parquet"


def job_of(prediction: Prediction, reading: Mapping[str, Any], base: str | None) -> dict[str, Any]:
    """What decides the answers: digests of the pairs and of the export, and the flags."""
    files = ExportedFiles(prediction.folder)
    used = [files.settings, *_files_in(files.tokenizer), *_files_in(files.folder / prediction.form)]
    return {
        "format": _FORMAT,
        "pairs": _digest(prediction.survey.path),
        "export": hashlib.sha256("".join(map(_digest, used)).encode()).hexdigest(),
        "reading": json.dumps(reading, sort_keys=True, default=str, ensure_ascii=False),
        "base": base,
        "form": prediction.form,
    }


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _answers(table: pa.Table) -> Answers:
    has_two = "text_b" in table.column_names
    predictions: Floats = np.asarray(table["prediction"].to_numpy(), dtype=np.float64)
    shares = [table[name].to_numpy() for name in table.column_names if name.startswith(_SHARE)]
    return Answers(
        table["text_a"].to_pylist(),
        table["text_b"].to_pylist() if has_two else None,
        predictions,
        table["problem"].to_pylist(),
        np.column_stack(shares) if shares else None,
    )


def _tally(table: pa.Table) -> Tally:
    content = json.loads(table.schema.metadata[_TALLY])
    seen = Seen.from_text(json.dumps(content.pop("seen")))
    return Tally(**content, seen=seen)
