"""A disk that is full, read-only or gone, swapped files: what is kept, and what is said."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recorded import finish, open_results, outcome, run_of
from studies import GRID, study
from sweep.budget.workers import Workers
from sweep.commands.cli import run_command
from sweep.core import own_metrics
from sweep.core.metric import metric_named
from sweep.execute.boundary import Boundary
from sweep.loop.trial import Finished, RunState
from sweep.stats.metrics import resampled
from sweep.study.study import Study
from sweep.train.checkpoints import Checkpoint, read_checkpoint, write_checkpoint

#: Full, over the quota, read-only, somebody else's.
TROUBLES = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES]


def rung(step: int) -> Checkpoint:
    state = {"a": torch.ones(3)}
    return Checkpoint(step, "{}", step, 10, 1.0, (), state, {}, {}, {"cpu": torch.get_rng_state()})


def broken(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Nothing new comes into its place any more."""

    def refuse(path: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number), str(target))

    monkeypatch.setattr(Path, "replace", refuse)


@pytest.mark.parametrize("number", TROUBLES)
@pytest.mark.parametrize("what", ["record", "table", "rung", "look"])
def test_file_that_can_not_be_written_leaves_the_one_before(
    what: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = open_results(tmp_path)
    finish(results, run_of(0, 4), outcome(0.8))
    results.write_tables()
    write_checkpoint(tmp_path, rung(5))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write: dict[str, Callable[[], object]] = {
        "record": lambda: results.handle(Finished(run_of(0, 4).id, outcome(0.9))),
        "table": results.write_tables,
        "rung": lambda: write_checkpoint(tmp_path, rung(10)),
        "look": results.looked_at,
    }
    broken(monkeypatch, number)
    with pytest.raises(OSError, match=os.strerror(number)):
        write[what]()
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    rung_before = read_checkpoint(tmp_path)
    assert rung_before is not None
    assert rung_before.step == 5
    # Once there is room again, nothing is missing.
    write[what]()


@pytest.mark.parametrize("number", TROUBLES)
def test_verb_names_the_file_that_it_could_not_write(
    number: int, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study(home / "s", GRID[:2])
    broken(monkeypatch, number)
    assert run_command(["report", "s"]) == 1
    said = capfd.readouterr().err
    assert "table.csv" in said
    assert os.strerror(number) in said
    assert "Traceback" not in said


def test_run_that_meets_a_full_disk_may_be_trained_again(tmp_path: Path) -> None:
    def train(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "rung.pt")

    events: list[object] = []
    Boundary(train, runs_dir=tmp_path, worker="w").attempt((run_of(0, 4),), events.append)
    ended = events[-1]
    assert isinstance(ended, Finished)
    assert (ended.outcome.state, ended.outcome.recurs) == (RunState.FAILED, False)
    assert "rung.pt" in str(ended.outcome.reason)


def test_study_can_be_looked_at_where_nothing_can_be_written(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study(home / "s", GRID)
    broken(monkeypatch, errno.EROFS)
    for argv in (["status", "s"], ["verdict", "s"], ["compare", "s", "s"]):
        assert run_command(argv) == 0, capfd.readouterr().err


def test_folder_that_is_removed_under_way_costs_what_lay_in_it_alone(tmp_path: Path) -> None:
    results = open_results(tmp_path / "s")
    finish(results, run_of(0, 4), outcome(0.8))
    shutil.rmtree(tmp_path / "s")
    finish(results, run_of(1, 8), outcome(0.9))
    results.write_tables()
    table = (tmp_path / "s" / "table.csv").read_text("utf-8")
    assert len(table.splitlines()) == 3
    # The record is gone with the folder: the next start trains that run again.
    again = open_results(tmp_path / "s")
    assert again.done(run_of(0, 4).id) is None
    assert again.done(run_of(1, 8).id) is not None


def test_swapped_records_count_for_neither_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = open_results(tmp_path)
    runs = [run_of(trial, rank) for trial, rank in enumerate((4, 8, 16))]
    for run, score in zip(runs, (0.8, 0.7, 0.6), strict=True):
        finish(results, run, outcome(score))
    one, other = (tmp_path / "runs" / run.id / "run.json" for run in runs[:2])
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    again = open_results(tmp_path)
    assert [again.done(run.id) is not None for run in runs] == [False, False, True]
    assert f"is the record of {runs[1].id}" in caplog.text


def test_predictions_of_another_study_cost_the_intervals_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = study(tmp_path / "s", GRID[:3])
    np.save(next((tmp_path / "s" / "runs").iterdir()) / "predictions.npy", np.arange(7.0))
    results.write_tables()
    assert len(Study.open(tmp_path / "s").leaderboard) == 3
    assert "has 7, not 120" in caplog.text


def test_clock_that_jumps_changes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = study(tmp_path / "s", GRID[:3])
    before = (tmp_path / "s" / "leaderboard.csv").read_text("utf-8")
    for jump in (-1e9, 1e9):
        now = time.time() + jump
        monkeypatch.setattr(time, "time", lambda now=now: now)
        results.keep_tables_live()
        results.write_tables()
        assert (tmp_path / "s" / "leaderboard.csv").read_text("utf-8") == before


def raises_on_some(labels: np.ndarray, predictions: np.ndarray) -> float:
    if len(np.unique(labels)) < 4:
        raise RuntimeError("too few kinds of labels")
    return 0.5


def test_metric_that_raises_on_resamples_leaves_the_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = f"{__name__}:raises_on_some"
    monkeypatch.setattr("sweep.stats.metrics.function_of", lambda _: raises_on_some)
    monkeypatch.setenv(own_metrics.VARIABLE, source)
    labels = np.arange(4.0)
    weights = np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]])
    found = resampled(metric_named(source), labels[None] + 1, labels, weights)
    assert found[0, 0] == 0.5
    assert np.isnan(found[1, 0])


def test_more_threads_than_cores_are_noticed() -> None:
    cores = (0, 1, 2, 3)
    said = Workers(count=4, threads=64, gpus=0, cores=cores).crowd
    assert said is not None
    assert "256 threads on 4 cores" in said
    assert "executor.threads=1" in said
    for fine in (Workers(4, 1, 0, cores), Workers(1, 4, 0, cores), Workers(1, 64, 1, cores)):
        assert fine.crowd is None
