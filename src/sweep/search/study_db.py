"""`study.db`: the newest study of a name, and its successor when space or seeds have changed."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from sweep.core.disks import Disk, disk_of
from sweep.core.errors import StudyError
from sweep.core.words import excerpt
from sweep.loop.objectives import PEARSON, Objective
from sweep.search.trials import ADDED, distribution, point_of
from sweep.space.space import Space


def open_study(
    path: Path,
    name: str,
    space: Space,
    seeds: Sequence[int],
    objectives: Sequence[Objective] = (PEARSON,),
    *,
    rungs_last: bool = True,
) -> optuna.Study:
    """The newest study of that name, or its successor when space or seeds have changed.

    Optuna refuses a categorical parameter whose choices change, so a grown space gets a study
    of its own (`name`, `name~2`, ...) with a copy of the old trials. The old one stays.

    Args:
        rungs_last: Whether a rung that the pruner has noted means the same in a successor.
    """
    storage = _connected(path)
    layout = _layout(space, seeds, objectives)
    known = _generations(storage, name)
    # The layout is written last, so one without was not copied in full and does not count.
    whole = [number for number, found in known.items() if "layout" in found.user_attrs]
    newest = known[max(whole)] if whole else None
    if newest is not None and newest.user_attrs["layout"] == layout:
        return optuna.load_study(study_name=newest.study_name, storage=storage)
    generation = 1 + max(known, default=0)
    study = optuna.create_study(
        study_name=name if generation == 1 else f"{name}~{generation}",
        storage=storage,
        directions=["maximize" if o.direction == "max" else "minimize" for o in objectives],
    )
    if newest is not None:
        old_layout = newest.user_attrs["layout"]
        same_values = all(old_layout.get(k) == layout.get(k) for k in ("seeds", "objectives"))
        old = optuna.load_study(study_name=newest.study_name, storage=storage)
        for trial in old.get_trials(deepcopy=False):
            study.add_trial(_moved(trial, space, keep_value=same_values, keep_rungs=rungs_last))
    study.set_user_attr("layout", layout)
    return study


@contextmanager
def database_trouble_told(path: Path) -> Iterator[None]:
    """What the database can't do, in words.

    Raises:
        StudyError: it can't be read, or nothing can be written to it.
    """
    try:
        yield
    except (
        sqlalchemy.exc.DatabaseError,
        sqlite3.DatabaseError,
        optuna.exceptions.StorageInternalError,
    ) as error:
        cause = getattr(error.__cause__ or error, "orig", error)
        raise StudyError(
            f"`{path.name}` must be a database that Optuna can read and write.",
            value=f"{path}: {str(cause).splitlines()[0]}",
            way_out=f"where the disk is full, free space; else rename it, and `{path.name}-*` "
            "beside it: the same command then begins its search anew, and trains nothing again "
            "that is in `runs/`",
        ) from None


def _refuse_foreign(path: Path) -> None:
    """A database is tables and rows: Optuna makes no triggers and no views, which would be
    somebody else's statements, and its file lies where it is named.

    Raises:
        sqlite3.DatabaseError: it is otherwise.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        raise sqlite3.DatabaseError("it is a link that leads out of the study")
    if not path.is_file():
        return
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as database:
        query = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
        found = database.execute(query).fetchone()
    if found is not None:
        raise sqlite3.DatabaseError(f"it holds the {found[0]} {excerpt(found[1])}")


def _connected(path: Path) -> optuna.storages.RDBStorage:
    _refuse_foreign(path)
    has_log = journal_mode(path.parent) == "wal"
    if not has_log:
        _without_log(path)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    if not has_log:
        return storage
    sqlalchemy.event.listen(storage.engine, "connect", _commit_without_waiting)
    # Optuna has connected already: that connection would stay in the pool as it is.
    storage.engine.dispose()
    return storage


def journal_mode(folder: Path, disk: Disk | None = None) -> Literal["wal", "delete"]:
    """How SQLite can write there: a write-ahead log is shared through memory that no other machine
    sees, so only a local disk may have one, and only where two connections find that it works.

    Args:
        disk: Of the folder; None finds out.
    """
    if not (disk or disk_of(folder)).is_local:
        return "delete"
    try:
        with tempfile.TemporaryDirectory(prefix=".probe-", dir=folder) as scratch:
            return "wal" if _log_works(Path(scratch) / "probe.db") else "delete"
    except OSError:
        return "delete"


def _log_works(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path)) as other:
            mode = one.execute("PRAGMA journal_mode=WAL").fetchone()
            one.execute("CREATE TABLE probe (number)")
            one.commit()
            other.execute("INSERT INTO probe VALUES (1)")
            other.commit()
            return (*mode, *one.execute("SELECT number FROM probe").fetchone()) == ("wal", 1)
    except sqlite3.Error:
        return False


def _without_log(path: Path) -> None:
    """Take a database back whose write-ahead log was begun on another disk."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        has_log = file.read(20)[18:] == b"\2\2"
    if not has_log:
        return
    with closing(sqlite3.connect(path, timeout=60)) as database:
        # Alone, it needs no shared memory to read the log.
        database.execute("PRAGMA locking_mode=EXCLUSIVE")
        database.execute("PRAGMA journal_mode=DELETE")


def _commit_without_waiting(connection: Any, _: Any) -> None:
    """A commit survives the death of the driver; only a power cut may take the last ones along.

    Optuna commits nine times a trial, and the disk takes 2 ms to confirm each. What is done is
    decided by the records, not here.
    """
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _generations(
    storage: optuna.storages.BaseStorage, name: str
) -> dict[int, optuna.study.StudySummary]:
    """The studies of a name, the first and its successors, by number."""
    found = {_generation(s.study_name, name): s for s in optuna.get_all_study_summaries(storage)}
    return {number: summary for number, summary in found.items() if number is not None}


def _generation(study_name: str, name: str) -> int | None:
    """Which study of that name it is, from 1; None of another name. `name` may have a `~`, too."""
    if study_name == name:
        return 1
    first, _, number = study_name.rpartition("~")
    return int(number) if first == name and number.isdecimal() else None


def _layout(space: Space, seeds: Sequence[int], objectives: Sequence[Objective]) -> dict[str, Any]:
    """What trials of one study have in common, as Optuna keeps it."""
    layout: dict[str, Any] = {
        "seeds": list(seeds),
        "space": {d.name: repr(distribution(d)) for d in space.dimensions},
    }
    conditions = {
        d.name: {c.name: list(c.labels) for c in d.when} for d in space.dimensions if d.when
    }
    if conditions:
        layout["when"] = conditions
    if len(objectives) > 1:
        layout["objectives"] = [objective.name for objective in objectives]
    return layout


def _moved(trial: FrozenTrial, space: Space, *, keep_value: bool, keep_rungs: bool) -> FrozenTrial:
    """The trial in another space, under the same number, with what the pruner knows of it.

    Without its value it counts as failed: the search asks for its point again, and the loop
    finds the finished runs in their records instead of training them.
    """
    point = point_of(trial)
    if not space.holds(point):
        return optuna.trial.create_trial(
            state=TrialState.FAIL, user_attrs={"reason": "its point is not in the new space"}
        )
    distributions: dict[str, BaseDistribution] = {
        d.name: distribution(d) for d in space.dimensions if d.name in point
    }
    if keep_value and trial.state is TrialState.COMPLETE:
        return optuna.trial.create_trial(
            params=point,
            distributions=distributions,
            values=trial.values,
            user_attrs=trial.user_attrs,
            intermediate_values=trial.intermediate_values,
            system_attrs=_rungs(trial) if keep_rungs else {},
        )
    return optuna.trial.create_trial(
        state=TrialState.FAIL,
        params=point,
        distributions=distributions,
        user_attrs={ADDED: True} if trial.user_attrs.get(ADDED) else {},
    )


def _rungs(trial: FrozenTrial) -> dict[str, Any]:
    """What Optuna's halving pruners have noted of a trial."""
    return {k: v for k, v in trial.system_attrs.items() if k.startswith("completed_rung_")}
