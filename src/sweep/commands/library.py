"""The program as a library: `from sweep import run_sweep, plan, load, Study`.

The same settings as on the command line, tables in, a study out. Processes that train import the
script that called: it needs `if __name__ == "__main__":`, as every use of `multiprocessing` does.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from sweep.core.commands import command
from sweep.core.errors import ConfigError, StudyError
from sweep.core.files import replacing_file
from sweep.study.plan import Plan
from sweep.study.study import Study as StudyFolder
from sweep.watch.terminal import SafeConsole

#: What a split may be given as: a table, a `datasets.Dataset`, or a file.
Table = Any
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Adapter:
    """An exported folder: the adapter of one run, and how its pairs are read."""

    folder: Path

    def predict(self, pairs: Table, *, form: str | None = None, **reading: Any) -> pd.DataFrame:
        """Score pairs: columns `text_a`, `text_b`, `label` where there is one, and `prediction`.

        Rows that are no pairs have no prediction; a column `problem` says why, where there are any.

        Args:
            pairs: A DataFrame, a `datasets.Dataset`, or a file of any kind that `predict` reads.
            form: Which form of the export scores: `adapter` (None), `merged`, `onnx`, `int8`.
            reading: Keys of `data` for how it is read (`text_a="first"`); else as in the training.

        Raises:
            ExportError: the folder is not an exported one, or its base is not to be had.
            DataError: the pairs can't be read, lack a column, or none of the rows is a pair.
        """
        from sweep.export.predicting import predict

        with tempfile.TemporaryDirectory() as scratch, _without_chatter():
            file = _file_of(pairs, Path(scratch), "pairs")
            kind: Any = form
            return predict(self.folder, file, reading, tell=lambda line: None, form=kind)


@dataclass(frozen=True)
class Study:
    """A study and what it has found out, as tables and values. It may still be under way."""

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """The study in a folder, finished or not.

        Raises:
            StudyError: the folder holds no study, or one of a newer program.
        """
        StudyFolder.open(Path(folder))
        return cls(Path(folder))

    @cached_property
    def files(self) -> StudyFolder:
        """The door that the program itself reads a study by."""
        return StudyFolder.open(self.folder)

    @property
    def runs(self) -> pd.DataFrame:
        """A row per run: `table.csv`."""
        return _table_of(self.files.files.table)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """A row per config, best first, with interval and ties: `leaderboard.csv`."""
        return _table_of(self.files.files.leaderboard)

    @property
    def verdict(self) -> str:
        """Which config to use and how sure that is, in sentences; empty before the first score."""
        found = self.files.verdict
        return "\n".join(found.sentences) if found else ""

    @property
    def best(self) -> Adapter:
        """The recommended config's adapter.

        Raises:
            StudyError: it is not exported yet.
        """
        folder = self.files.files.best
        if not folder.is_dir():
            raise StudyError(
                "A study's adapter is there once its sweep has ended.",
                value=f"{folder} is not there",
                way_out="run the sweep to its end, or `python -m sweep export STUDY`",
            )
        return Adapter(folder)

    def report(self) -> Path:
        """Build `report.html` again; returns where it is."""
        from sweep.commands.run import rebuild_report

        return rebuild_report(self.folder)


def run_sweep(
    experiment: str | None = None,
    *,
    data: Mapping[str, Table] | None = None,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
    console: Console | None = None,
) -> Study:
    """Train what is missing of a sweep, and export the best.

    Args:
        experiment: As in `+experiment=`; None takes the default sweep.
        data: Split (`train`, `dev`, `test`) -> table or file; `data.label=` names its columns.
        overrides: As on the command line: `["trainer.max_steps=100", "search.seeds=[0,1]"]`.
        config_dir: A folder of your own config groups and experiments.
        console: Where progress and results are shown; None shows them as the terminal does.

    Raises:
        UserMistake: whatever is wrong with settings, data or model, before anything is trained.
        Interrupted: by Ctrl-C; the same call goes on.
        StudyError: no run has finished.
    """
    from sweep.commands.run import EXIT_NONE_FINISHED
    from sweep.commands.run import run_sweep as run
    from sweep.commands.signals import interruptible
    from sweep.execute.children import warm_up

    with _without_chatter():
        given = _overrides(experiment, data, overrides)
        settings = _settings(given, config_dir)
        warm_up("sweep.train.first_step")
        with interruptible():
            code = run(settings, console=console or SafeConsole(), command=command(*given))
    if code == EXIT_NONE_FINISHED:
        raise StudyError(
            "A study needs a run that has finished.",
            value=f"none in {settings.folder}",
            way_out="its table says why each one failed",
        )
    return Study(settings.folder)


def plan(
    experiment: str | None = None,
    *,
    data: Mapping[str, Table] | None = None,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
    console: Console | None = None,
) -> Plan:
    """What a sweep would train and take; the arguments are those of `run_sweep`.

    Raises:
        UserMistake: whatever would stop the sweep.
    """
    from sweep.commands.plan import show_plan
    from sweep.execute.children import warm_up

    with _without_chatter():
        settings = _settings(_overrides(experiment, data, overrides), config_dir)
        warm_up("sweep.train.first_step")
        return show_plan(settings, console or SafeConsole(quiet=True))


def load(folder: str | Path) -> Adapter:
    """An exported adapter, to score pairs with.

    Raises:
        ExportError: the folder is not an exported one.
    """
    from sweep.export.exported import read_recipe

    read_recipe(Path(folder))
    return Adapter(Path(folder))


def _settings(given: Sequence[str], config_dir: Path | None) -> Any:
    from sweep.config.compose import load_settings

    settings, _ = load_settings(given, config_dir=config_dir)
    return settings


def _overrides(
    experiment: str | None, data: Mapping[str, Table] | None, overrides: Sequence[str]
) -> list[str]:
    chosen = [] if experiment is None else [f"+experiment={experiment}"]
    return [*chosen, *_as_files(data or {}, overrides), *overrides]


def _as_files(data: Mapping[str, Table], overrides: Sequence[str]) -> list[str]:
    """Overrides that name a file for each split, written where the results will be."""
    if unknown := [name for name in data if name not in _SPLITS]:
        raise ConfigError(
            "Pairs are given as train, dev and test.",
            value=f"data={{{unknown[0]!r}: ...}}",
            way_out="train and dev are needed, test is optional; of a DatasetDict: "
            'data={"train": pairs["train"], "dev": pairs["validation"]}',
        )
    if not data:
        return []
    results = [o.partition("=")[2] for o in overrides if o.startswith("results_dir=")]
    folder = Path(results[-1].strip("'\"") if results else "results") / ".tables"
    files = [f"data.{split}={_file_of(table, folder, split)}" for split, table in data.items()]
    return ["data=files", *files]


def _file_of(table: Table, folder: Path, name: str) -> Path:
    """The file that holds a table; its name follows from what is in it, so that the same call goes
    on with the same study."""
    if isinstance(table, str | os.PathLike):
        return Path(table)
    frame = _frame_of(table)
    marks = pd.util.hash_pandas_object(_hashable(frame), index=False).to_numpy().tobytes()
    columns = ",".join(map(str, frame.columns)).encode()
    path = folder / f"{name}-{hashlib.sha256(columns + marks).hexdigest()[:12]}.parquet"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as new:
            frame.to_parquet(new, index=False)
    return path.absolute()


def _frame_of(table: Table) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    if isinstance(table, Mapping) or not hasattr(table, "to_pandas"):
        raise ConfigError(
            "A split is a DataFrame, a `datasets.Dataset` or a file.",
            value=type(table).__name__,
            way_out="of a DatasetDict one part: "
            'data={"train": pairs["train"], "dev": pairs["validation"]}',
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _hashable(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists, as tokenizers leave them beside the sentences, as text."""
    may_hold = frame.select_dtypes(object)
    lists = [name for name in may_hold.columns if may_hold[name].map(_holds_many).any()]
    return frame.assign(**{name: frame[name].map(str) for name in lists})


def _holds_many(cell: object) -> bool:
    return not isinstance(cell, str | bytes) and hasattr(cell, "__len__")


def _table_of(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


@contextmanager
def _without_chatter() -> Iterator[None]:
    """What libraries say to each other stays out of the notebook; the user's choice wins."""
    from transformers.utils import logging as chatter

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    before = chatter.get_verbosity()
    chatter.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        chatter.set_verbosity(before)
