"""`--json`: what scripts read, and what docs/json.md promises them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from finished import make
from sweep.commands.as_json import Chosen, Compared, Status, UnderWay
from sweep.commands.cli import run_command
from sweep.export.cost import Cost
from sweep.stats.interval import Interval
from sweep.study.lock import locked

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
    with locked(folder):
        assert told("status", str(folder), capfd=capfd)["driver"]


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


@pytest.mark.parametrize("kind", [Status, UnderWay, Compared, Chosen, Interval, Cost])
def test_every_key_is_documented(kind: type) -> None:
    documented = set(re.findall(r"`(\w+)`", DOCS.read_text(encoding="utf-8")))
    assert set(names(kind)) <= documented
