"""Pruned and audited runs, as the report shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studies import (
    GRID,
    page,
    study,
    study_board,
)
from sweep.commands.closing_words import pruning_lines
from sweep.core.recipe import Recipe
from sweep.loop.pruning import Ended, pruning_audit, whole_steps
from sweep.loop.trial import Evaluation, Finished, Outcome, Run, RunState
from sweep.study.tables import Results


def asha(folder: Path) -> Results:
    """A study with 8 complete runs, one of them audited, and two pruned half-way."""
    results = study(folder)
    rungs = (Evaluation(100, 1.5, 0.1, 0.1, 0.5),)
    for trial, r in ((8, 32), (9, 64)):
        recipe = Recipe().with_values({**GRID[0], "lora.r": r})
        run = Run(trial, {"cell": trial}, recipe)
        results.add(run)
        outcome = Outcome(RunState.PRUNED, reason="weak", evaluations=rungs, steps=100)
        results.handle(Finished(run.id, outcome))
    first = results.records()[1]
    assert first.outcome is not None
    audited = replace(first.outcome, audited_step=100)
    results.handle(Finished(first.run.id, audited))
    results.write_tables()
    return results


def test_pruned_runs_are_marked_where_they_ended(tmp_path: Path) -> None:
    asha(tmp_path / "s")
    found = page(tmp_path / "s")
    traces = found.figures["curves-1-1"]["data"]
    (lines, marks) = [trace for trace in traces if trace.get("legendgroup") == "pruned"]
    assert lines["x"].count(None) == 2
    assert (marks["x"], marks["y"]) == ([100, 100], [0.1, 0.1])
    assert all(text.startswith("pruned: ") for text in marks["hovertext"])
    (audited,) = [trace for trace in traces if trace.get("name") == "audited"]
    assert audited["x"] == [100]


def test_pruning_is_audited(tmp_path: Path) -> None:
    asha(tmp_path / "s")
    text = page(tmp_path / "s").text
    assert "2 of 10 runs were ended early, which saved 10% of the training steps." in text
    board = study_board(tmp_path / "s").set_index("trial")
    among = "1 of them" if board["tied_with_best"][1] else "none of them"
    said = f"1 run that was to be ended was trained on as a check: {among} ended among the best."
    assert said in text


def test_audit_counts_configs_of_the_audited_among_the_best() -> None:
    ended = [
        Ended("a", 100, pruned=False, audited=False),
        Ended("b", 100, pruned=False, audited=True),
        Ended("c", 100, pruned=False, audited=True),
        Ended("d", 25, pruned=True, audited=False, whole=100),
        Ended("e", 50, pruned=True, audited=False, whole=100),
    ]
    audit = pruning_audit(ended, {"a", "b"})
    assert audit is not None
    assert (audit.pruned, audit.audited, audit.audited_best) == (2, 2, 1)
    assert audit.saved == pytest.approx(125 / 500)
    assert audit.pruned_at == {25: 1, 50: 1}
    assert pruning_audit(ended[:3], {"a"}) is None


def test_saved_share_measures_each_run_by_its_own_length() -> None:
    """Where epochs or batch sizes are searched, the longest run is no measure for the others."""
    long = Ended("a", 400, pruned=False, audited=False, whole=400)
    short = Ended("b", 50, pruned=True, audited=False, whole=100)
    audit = pruning_audit([long, short], {"a"})
    assert audit is not None
    assert audit.saved == pytest.approx(50 / 500)
    unknown = pruning_audit([long, short, replace(short, whole=None)], {"a"})
    assert unknown is not None
    assert (unknown.pruned, unknown.saved) == (2, None)


@pytest.mark.parametrize(
    ("max_steps", "epochs", "rungs", "whole"),
    [
        (200, 3.0, [], 200),
        (200, 3.0, [(50, 0.25)], 200),
        (-1, 3.0, [(125, 1.0)], 375),
        (-1, 3.0, [(125, 1.0), (250, 2.0)], 375),
        (-1, 0.8, [(20, 0.16)], 100),
        (-1, 3.0, [], None),
        (-1, 3.0, [(20, 0.0)], None),
    ],
)
def test_length_of_a_run_is_told_by_its_recipe_and_its_evaluations(
    max_steps: int, epochs: float, rungs: list[tuple[int, float]], whole: int | None
) -> None:
    assert whole_steps(max_steps=max_steps, epochs=epochs, rungs=rungs) == whole


def test_share_that_is_not_known_is_not_told(tmp_path: Path) -> None:
    results = asha(tmp_path / "s")
    stopped = results.records()[-1]
    results.handle(Finished(stopped.run.id, Outcome(RunState.PRUNED, reason="by hand", steps=7)))
    results.write_tables()
    assert "2 of 10 runs were ended early." in page(tmp_path / "s").text
    assert pruning_lines(results.records(), results.configs())[0] == "pruned   2 of 10 runs"
