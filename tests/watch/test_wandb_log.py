"""What is logged, by the real wandb: its offline files are read back."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

import studies
from sweep.loop.ports import Totals
from sweep.loop.trial import Outcome, Paused, PutBack, RunState, Started
from sweep.study.study import Study
from sweep.watch.report import figures_in_light
from sweep.watch.tracked_values import StudyLog, study_tables
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

pytestmark = pytest.mark.usefixtures("wandb_at_home_nowhere")


@pytest.mark.long
def test_interleaved_runs_stay_apart(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set by some cluster scripts; taken at their word, they would lead all runs into one.
    for name in ("WANDB_RUN_ID", "WANDB_NAME", "WANDB_RESUME", "WANDB_JOB_TYPE"):
        monkeypatch.setenv(name, "allow" if name == "WANDB_RESUME" else "same")
    a, b = make_run(0, r=4), make_run(1, r=16)
    play(
        make_watcher(study, Listener()),
        (a, Started(a.id, "w0")),
        (b, Started(b.id, "w1")),
        (a, evaluated(a, 5, 0.1)),
        (b, evaluated(b, 5, 0.2)),
        (b, finished(b, 0.6, curve={5: 0.2, 10: 0.6})),
        (a, finished(a, 0.8, curve={5: 0.1, 10: 0.8})),
    )

    first, second, _ = all_logged(study)
    assert [first.run.display_name, second.run.display_name] == [a.name, b.name]
    assert {first.run.job_type, second.run.job_type} == {"train"}
    assert first.run.run_id != second.run.run_id
    assert {first.run.run_group, second.run.run_group} == {STUDY}
    assert [first.config["r"], second.config["r"]] == [4, 16]
    curves = [
        [(row["_step"], row["dev/pearson"]) for row in run.history] for run in (first, second)
    ]
    assert curves == [[(5, 0.1), (10, 0.8)], [(5, 0.2), (10, 0.6)]]
    assert [first.summary["pearson"], second.summary["pearson"]] == [0.8, 0.6]


@pytest.mark.long
def test_run_carries_flat_config_history_and_best_score(study: Path) -> None:
    run = make_run(7, seed=3)
    play(make_watcher(study, Listener()), (run, finished(run, curve={10: 0.8})))

    found = all_logged(study)[0]
    assert found.config == {
        "study": STUDY,
        "r": 8,
        "alpha": 16,
        "dropout": 0.1,
        "scaling": 2.0,
        "targets": "query+value",
        "learning_rate": 2e-3,
        "data_max_length": 128,
        "seed": 3,
        "trial": 7,
        "run_id": run.id,
        "config_id": run.recipe.config_id,
    }
    scores = {key: value for key, value in found.history[0].items() if key.startswith("dev/")}
    assert scores == {
        "dev/pearson": 0.8,
        "dev/spearman": pytest.approx(0.7),
        "dev/loss": 0.5,
        "dev/epoch": 1.0,
    }
    assert found.summary["state"] == "complete"
    assert found.summary["pearson_last"] == pytest.approx(0.75)
    assert found.summary["best_step"] == 10
    assert "reason" not in found.summary
    assert found.exit_code == 0


def test_failed_run_is_logged_as_failed_even_if_it_never_started(study: Path) -> None:
    run = make_run(0)
    play(make_watcher(study, Listener()), (run, failed(run)))

    found = all_logged(study)[0]
    assert found.exit_code == 1
    assert found.summary["state"] == "failed"
    assert found.summary["reason"] == "CUDA out of memory"


def test_run_is_one_however_often_it_was_taken_up(study: Path) -> None:
    run = make_run(0)
    play(
        make_watcher(study, Listener()),
        (run, Started(run.id, "w0")),
        (run, evaluated(run, 5, 0.3)),
        (run, PutBack(run.id, "w0", "killed by SIGKILL")),
        (run, Started(run.id, "w1")),
        (run, Paused(run.id, Outcome(RunState.PRUNED))),
        (run, Started(run.id, "w0")),
        (run, finished(run, 0.4, curve={5: 0.4})),
    )
    found, _ = all_logged(study)
    assert [(row["_step"], row["dev/pearson"]) for row in found.history] == [(5, 0.4)]
    assert found.summary["state"] == "complete"


def test_failed_attempt_and_the_one_after_it_are_two_runs(study: Path) -> None:
    run = make_run(0)
    play(make_watcher(study, Listener()), (run, failed(run)))
    play(make_watcher(study, Listener()), (run, finished(run)))
    *attempts, _ = all_logged(study)
    # Both may have begun within a second, which is all that the names of their folders tell.
    assert {found.summary["state"] for found in attempts} == {"failed", "complete"}
    assert [found.config["run_id"] for found in attempts] == [run.id, run.id]
    assert attempts[0].run.run_id != attempts[1].run.run_id


def test_study_run_holds_the_table_with_missing_values(study: Path) -> None:
    reused = make_run(0)
    listener = Listener()
    play(make_watcher(study, listener), (reused, finished(reused)))
    for path in (study / "wandb").glob("offline-run-*"):  # sent, and tidied up
        shutil.rmtree(path)
    watcher = make_watcher(study, listener)
    watcher.opened(Totals(STUDY, 3))
    watcher.run_reused(reused, finished(reused).outcome)
    watcher.run_event(make_run(1, r=2), finished(make_run(1, r=2)))
    watcher.closed()
    watcher.finish()

    _, found = all_logged(study)  # the reused run is not logged again
    assert (found.run.display_name, found.run.job_type) == (STUDY, "study")
    assert found.summary["best_pearson"] == 0.8
    assert (found.summary["num_complete"], found.summary["num_failed"]) == (2, 1)
    (path,) = (found.folder / "files").rglob("*.table.json")
    content = json.loads(path.read_text())
    assert content["columns"] == list(make_table().columns)
    assert content["data"] == [
        [0, "complete", None, 0.8, 10, "qv"],
        [1, "failed", "CUDA out of memory", None, None, "qv"],
        [2, "complete", None, 0.7, 20, 3],
    ]
    assert found.exit_code == 0


@pytest.mark.long
def test_study_run_holds_the_tables_and_figures_of_the_report(study: Path) -> None:
    studies.study(study)
    studies.find_out(study)
    tables, figures = study_tables(Study.open(study)), figures_in_light(study)
    log = StudyLog(make_table(), tables, figures)
    watcher = make_watcher(study, Listener(), read_study=lambda: log)
    play(watcher)

    (found,) = all_logged(study)
    (history,) = found.history
    kinds = {key.removesuffix("/_type"): kind for key, kind in history.items() if "_type" in key}
    logged_tables = {name for name, kind in kinds.items() if kind == "table-file"}
    assert logged_tables == {"runs", "leaderboard", "effects", "importance"}
    plots = {name for name, kind in kinds.items() if kind == "plotly-file"}
    assert plots == {f"report/{name}" for name in figures}
    assert len(plots) > 5
    board, curves = (
        json.loads((found.folder / "files" / history[f"{name}/path"]).read_text(encoding="utf-8"))
        for name in ("leaderboard", "report/curves")
    )
    assert len(board["data"]) == len(tables["leaderboard"]) == 8
    assert [y for trace in curves["data"] for y in trace["y"] if y is not None]
    assert '"@' not in json.dumps(curves)


def test_wandb_stays_in_the_study_and_off_the_terminal(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run, environment = make_run(0), dict(os.environ)
    listener = Listener()
    watcher = make_watcher(study, listener)
    watcher.opened(Totals(STUDY, 1))
    watcher.run_event(run, Started(run.id, "w0"))
    watcher.run_event(run, finished(run))
    watcher.closed()
    watcher.finish()

    assert capfd.readouterr() == ("", "")
    assert dict(os.environ) == environment
    assert list((tmp_path / "cwd").iterdir()) == []
    assert sorted(path.name for path in study.iterdir()) == ["wandb", "wandb.json"]
    assert not (study / "wandb" / "wandb").exists()
    assert not (tmp_path / "home data").exists()
    assert listener.threads == {threading.current_thread()}
    assert listener.urls == []
