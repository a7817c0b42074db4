"""A plan beside what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweep.core.recipe import Recipe
from sweep.loop.trial import Outcome, Run, RunState
from sweep.study.plan import Plan, PlannedConfig, compare_with_plan, read_plan, write_plan
from sweep.study.record import Record


def plan_of(*configs: PlannedConfig) -> Plan:
    return Plan(2, len(configs), 10.0, 0, 0, 1.0, configs)


def record_of(recipe: Recipe, state: RunState, seconds: float, memory: float | None) -> Record:
    outcome = Outcome(state, train_seconds=seconds, peak_memory_mb=memory)
    return Record(Run(0, {}, recipe), state, outcome)


def test_errors_are_shares_of_what_complete_runs_took(tmp_path: Path) -> None:
    recipes = [Recipe(seed=seed) for seed in (0, 1, 2)]
    config = PlannedConfig(recipes[0].config_id, 12.0, 90.0, 8, 4)
    write_plan(tmp_path, plan_of(config, PlannedConfig("other", 5.0, 50.0, 8, 4)))
    records = [
        record_of(recipes[0], RunState.COMPLETE, 8.0, 100.0),
        record_of(recipes[1], RunState.COMPLETE, 12.0, 80.0),
        record_of(recipes[2], RunState.PRUNED, 1.0, 500.0),
    ]
    (line,) = compare_with_plan(tmp_path, records)
    assert line == "planned  the time of a run was off by 20%, its memory by 10% on average"
    plan = read_plan(tmp_path)
    assert plan is not None
    assert plan.configs[0].seconds_error == pytest.approx(0.2)
    assert plan.configs[0].memory_error == pytest.approx(-0.1)
    assert plan.configs[1].measured_seconds is None


def test_without_a_plan_or_a_complete_run_nothing_is_said(tmp_path: Path) -> None:
    assert compare_with_plan(tmp_path, []) == []
    write_plan(tmp_path, plan_of(PlannedConfig("a", 1.0, None, 8, 4)))
    assert compare_with_plan(tmp_path, []) == []
    assert read_plan(tmp_path) == plan_of(PlannedConfig("a", 1.0, None, 8, 4))
    (tmp_path / "plan.json").write_text("{", encoding="utf-8")
    assert read_plan(tmp_path) is None
