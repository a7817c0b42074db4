"""What every tracker holds of a sweep: logged, killed, resumed, written again from the records."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlflow_here import client, needs_mlflow, runs_at, target_in
from sweep.loop.ports import Totals
from sweep.loop.trial import Finished, Outcome, Paused, RunState, Started
from sweep.watch.mlflow_log import mlflow_watcher
from sweep.watch.tracked_values import StudyLog
from sweep.watch.tracking import TrackingWatcher
from wandb_files import all_logged
from wandb_watching import (
    STUDY,
    Listener,
    evaluated,
    failed,
    finished,
    make_run,
    make_table,
    make_watcher,
    play,
)

pytestmark = [pytest.mark.usefixtures("wandb_at_home_nowhere"), pytest.mark.long]


@dataclass
class Seen:
    """A run at a tracker."""

    name: str
    state: str | None
    has_failed: bool
    curve: list[tuple[int, float]]
    score: float | None
    said: dict[str, str]


@dataclass
class Place:
    """A tracker, and what it says of a study."""

    watcher: Callable[..., TrackingWatcher]
    seen: Callable[[Path], list[Seen]]

    def runs(self, study: Path) -> list[Seen]:
        """Without the study's own."""
        return [seen for seen in self.seen(study) if seen.name != STUDY]


def _at_wandb(study: Path) -> list[Seen]:
    return [
        Seen(
            one.run.display_name,
            one.summary.get("state"),
            one.exit_code == 1,
            [(row["_step"], row["dev/pearson"]) for row in one.history if "dev/pearson" in row],
            one.summary.get("pearson", one.summary.get("best_pearson")),
            {key: str(value) for key, value in one.config.items()},
        )
        for one in all_logged(study)
    ]


def _at_mlflow(study: Path) -> list[Seen]:
    uri = f"sqlite:///{(study.parent / 'mlflow.db').resolve().as_posix()}"
    asked = client(uri)
    return [
        Seen(
            run.info.run_name,
            run.data.tags.get("state"),
            run.info.status == "FAILED",
            [
                (point.step, point.value)
                for point in asked.get_metric_history(run.info.run_id, "dev/pearson")
            ],
            run.data.metrics.get("pearson", run.data.metrics.get("best_pearson")),
            {**run.data.tags, **run.data.params},
        )
        for run in runs_at(uri)
    ]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture(params=["wandb", pytest.param("mlflow", marks=needs_mlflow)])
def place(request: pytest.FixtureRequest, empty_database: Path) -> Place:
    if request.param == "wandb":
        return Place(make_watcher, _at_wandb)

    def watcher(folder: Path, listener: Listener, **changes: Any) -> TrackingWatcher:
        settings: dict[str, Any] = {
            "target": target_in(folder.parent, empty_database),
            "timeout_s": 30.0,
            "searched_keys": ("lora.r", "trainer.learning_rate", "data.max_length"),
            "read_study": lambda: StudyLog(make_table(), verdict=("r8 is best.",)),
            "say": listener.say,
        }
        folder.mkdir(parents=True, exist_ok=True)
        return mlflow_watcher(folder, **(settings | changes))

    return Place(watcher, _at_mlflow)


def test_each_training_is_held_once_with_settings_curve_and_scores(
    place: Place, study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    a, b, c = make_run(0, r=4), make_run(1, r=16, seed=3), make_run(2)
    listener = Listener()
    play(
        place.watcher(study, listener),
        (a, Started(a.id, "w0")),
        (b, Started(b.id, "w1")),
        (a, evaluated(a, 5, 0.1)),
        (a, Paused(a.id, Outcome(RunState.QUEUED))),
        (b, evaluated(b, 5, 0.2)),
        (a, Started(a.id, "w1")),
        (b, finished(b, 0.6, curve={5: 0.2, 10: 0.6})),
        (a, finished(a, 0.8, curve={5: 0.1, 10: 0.8})),
        (c, failed(c)),
    )
    first, second, third = place.runs(study)
    assert [first.name, second.name, third.name] == [a.name, b.name, c.name]
    assert first.curve == [(5, 0.1), (10, 0.8)]
    assert second.curve == [(5, 0.2), (10, 0.6)]
    assert [seen.state for seen in (first, second, third)] == ["complete", "complete", "failed"]
    assert [first.score, second.score, third.score] == [0.8, 0.6, None]
    assert [seen.has_failed for seen in (first, second, third)] == [False, False, True]
    told = {"study": STUDY, "r": "16", "targets": "query+value", "seed": "3", "trial": "1"}
    assert told.items() <= second.said.items()
    assert second.said["config_id"] == b.recipe.config_id
    (own,) = [seen for seen in place.seen(study) if seen.name == STUDY]
    assert own.score == 0.8
    assert listener.lines == [line for line in listener.lines if "sync.sh" in line]
    assert capfd.readouterr() == ("", "")


def test_what_was_written_is_not_written_again(place: Place, study: Path) -> None:
    run = make_run(0)
    steps = ((run, finished(run, curve={5: 0.4, 10: 0.8})),)
    play(place.watcher(study, Listener()), *steps)
    before = place.seen(study)
    again = place.watcher(study, Listener())
    again.opened(Totals(STUDY, 1))
    again.run_reused(run, steps[0][1].outcome)
    again.closed()
    again.finish()
    assert place.seen(study) == before


def test_interrupted_run_goes_on_and_is_whole_in_the_end(place: Place, study: Path) -> None:
    run = make_run(0)
    first = place.watcher(study, Listener())
    first.opened(Totals(STUDY, 1))
    first.run_event(run, Started(run.id, "w0"))
    first.run_event(run, evaluated(run, 5, 0.1))
    first.closed()
    first.finish()
    play(
        place.watcher(study, Listener()),
        (run, Started(run.id, "w0")),
        # A run that goes on reports again what it had.
        (run, evaluated(run, 5, 0.1)),
        (run, finished(run, curve={5: 0.1, 10: 0.8})),
    )
    (seen,) = place.runs(study)
    assert (seen.curve, seen.score) == ([(5, 0.1), (10, 0.8)], 0.8)


def test_run_that_failed_and_is_trained_again_shows_how_it_ended(place: Place, study: Path) -> None:
    run = make_run(0)
    play(place.watcher(study, Listener()), (run, failed(run)))
    play(place.watcher(study, Listener()), (run, finished(run, curve={10: 0.8})))
    # wandb has a run for each attempt, MLflow goes on in the same one.
    (newest,) = [seen for seen in place.runs(study) if seen.state == "complete"]
    assert (newest.has_failed, newest.curve) == (False, [(10, 0.8)])


def test_lost_records_of_a_killed_program_are_made_up_for(place: Place, study: Path) -> None:
    """The program dies in the middle of its jobs: of three runs, some are held."""
    runs = [make_run(n, r=4 * (n + 1)) for n in range(3)]
    steps = [(run, finished(run, curve={5: 0.3, 10: 0.8})) for run in runs]
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        watcher = place.watcher(study, Listener())
        watcher.opened(Totals(STUDY, 3))
        for run, event in steps:
            watcher.run_event(run, event)
        import time

        time.sleep(1.0)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    watcher = place.watcher(study, Listener())
    watcher.opened(Totals(STUDY, 3))
    for run, event in steps:
        assert isinstance(event, Finished)
        watcher.run_reused(run, event.outcome)
    watcher.closed()
    watcher.finish()
    seen = place.runs(study)
    assert [one.name for one in seen] == [run.name for run in runs]
    assert all(one.curve == [(5, 0.3), (10, 0.8)] for one in seen)
    assert len(place.seen(study)) == 4
