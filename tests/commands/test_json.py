"""`--json`: what scripts read, and what docs/json.md promises them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from finished import make
from sweep.commands.as_json import (
    Chosen,
    Compared,
    FormRescored,
    Judged,
    Planned,
    Rescored,
    RetrainedScore,
    Status,
    UnderWay,
)
from sweep.commands.cli import run_command
from sweep.export.cost import Cost
from sweep.stats.interval import Interval
from sweep.study.exchange import Crew, CrewMember, write_crew
from sweep.study.files import StudyFiles
from sweep.study.lock import locked
from sweep.study.plan import PlannedConfig, PlannedFull

DOCS = Path(__file__).parents[2] / "docs" / "json.md"


def told(*words: str, capfd: pytest.CaptureFixture[str]) -> Any:
    code = run_command([*words, "--json"])
    out, err = capfd.readouterr()
    assert code == 0, err
    return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_status_is_all_that_people_see(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make(tmp_path / "작은 실험", {2: 0.5, 8: 3.0}, model="a/small")
    found = told("status", str(folder), capfd=capfd)
    assert [*found] == names(Status)
    assert found["study"] == str(folder)
    assert found["driver"] is None
    assert {state: count for state, count in found["runs"].items() if count} == {"complete": 2}
    assert [row["lora.r"] for row in found["leaderboard"]] == [2, 8]
    assert found["leaderboard"][0]["mean"] > found["leaderboard"][1]["mean"]
    assert found["under_way"] == []
    member = CrewMember("n1-42-ab", "n1", "2026-12-01T00:00:00+00:00", None, ("a-s0",))
    write_crew(StudyFiles(folder).exchange, Crew((member,)))
    assert told("status", str(folder), capfd=capfd)["workers"] == []
    with locked(folder):
        found = told("status", str(folder), capfd=capfd)
    assert found["driver"]
    assert found["workers"] == [{**dataclasses.asdict(member), "run_ids": ["a-s0"]}]


def test_comparison_has_its_interval(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = make(tmp_path / "good", {2: 0.5, 8: 3.0}, model="a/small")
    poor = make(tmp_path / "poor", {2: 4.0}, model="a/large")
    found = told("compare", str(good), str(poor), capfd=capfd)
    assert [*found] == names(Compared)
    assert [*found["studies"][0]] == names(Chosen)
    assert [*found["difference"]] == names(Interval)
    assert found["is_clear"]
    assert found["difference"]["ci_low"] > 0
    assert found["studies"][1]["settings"] == {"lora.r": 2}
    assert f"{good} is better than {poor}" in found["verdict"]


def test_mistake_is_told_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run_command(["status", str(tmp_path), "--json"])
    out, err = capfd.readouterr()
    assert (code, out) == (2, "")
    assert "error: " in err


def test_verdict_is_the_one_that_people_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make(tmp_path / "작은 실험", {2: 0.5, 8: 3.0}, model="a/small")
    found = told("verdict", str(folder), capfd=capfd)
    assert [*found] == names(Judged)
    assert found["settings"] == {"lora.r": 2}
    assert found["recommended"] in (found["best"], *found["tie_set"])
    kept = json.loads((folder / "verdict.json").read_text("utf-8"))
    assert found["sentences"] == kept["sentences"]
    assert run_command(["verdict", str(folder)]) == 0
    assert capfd.readouterr().out.splitlines()[0] == kept["sentences"][0]


def test_json_of_a_sweep_is_for_its_plan(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["+experiment=lora_grid", "--json"]) == 2
    assert "mode=plan --json" in capfd.readouterr().err


@pytest.mark.parametrize(
    "kind",
    [
        *(Status, UnderWay, Compared, Chosen, Interval, Cost, Judged, Planned, PlannedConfig),
        *(PlannedFull, Rescored, FormRescored, RetrainedScore),
    ],
)
def test_every_key_is_documented(kind: type) -> None:
    documented = set(re.findall(r"`(\w+)`", DOCS.read_text(encoding="utf-8")))
    assert set(names(kind)) <= documented
