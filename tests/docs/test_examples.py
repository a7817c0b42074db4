"""The examples, run as their pages say, on a tiny model and few steps."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from command_line import table
from pages import ROOT, commands_of
from sweep.commands.cli import run_command
from sweep.config.compose import load_settings

EXAMPLES = ROOT / "examples"


def sweeps(name: str) -> list[list[str]]:
    """The arguments of every sweep on an example's page."""
    found = commands_of(EXAMPLES / name / "README.md")
    assert all(words[:3] == ["python", "-m", "sweep"] for words in found)
    return [words[3:] for words in found]


@pytest.fixture
def beside(home: Path) -> Path:
    """A start folder in which the examples lie."""
    shutil.copytree(EXAMPLES, home / "examples")
    return home


def complete(study: Path) -> pd.DataFrame:
    rows = table(study)
    assert set(rows["state"]) == {"complete"}
    return rows


def test_every_example_has_a_page_in_the_index() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert all(f"({name}/README.md)" in index for name in folders)


@pytest.mark.trains
@pytest.mark.long
def test_own_experiment(beside: Path, small: list[str]) -> None:
    whole, part = sweeps("own_experiment")
    assert len(load_settings([*whole, *small])[0].configs()) == 3 * 2 * 2
    assert run_command([*part, *small, "confirm=none"]) == 0
    rows = complete(beside / "results" / "작게")
    assert len(rows) == 2 * 2
    assert set(rows["lora.target_modules"]) == {"qv", "all-linear"}


def test_own_pairs(korean_study: Path, tmp_path: Path) -> None:
    assert set(complete(korean_study)["lora.r"]) == {2, 4}
    pairs = korean_study.parents[1] / "자료" / "개발 자료.jsonl"
    scored = tmp_path / "점수.csv"
    assert (
        run_command(["predict", str(korean_study / "best"), str(pairs), "--out", str(scored)]) == 0
    )
    assert len(pd.read_csv(scored)) == 200


@pytest.mark.trains
@pytest.mark.long
def test_own_group(beside: Path, small: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    searched, alone = sweeps("own_group")
    assert run_command([*searched, *small, "confirm=none"]) == 0
    assert sorted(complete(beside / "results" / "비교")["lora.r"]) == [8, 8, 32]
    capfd.readouterr()
    assert run_command([*alone, *small, "--cfg"]) == 0
    assert yaml.safe_load(capfd.readouterr().out)["lora"]["use_rslora"]


@pytest.mark.trains
@pytest.mark.long
def test_notebook(home: Path, small: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells one after the other, but for the installation."""
    quick = "confirm=none", "baselines=none", "results_dir=out", "search.space={lora.r:[2,4]}"
    monkeypatch.setenv("SWEEP_NOTEBOOK_OVERRIDES", shlex.join([*small, *quick]))
    notebook = json.loads((EXAMPLES / "notebook" / "which_lora.ipynb").read_text("utf-8"))
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"])
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert "%pip install" in cells[0]
    names: dict[str, object] = {}
    for number, source in enumerate(cells[1:], start=2):
        exec(compile(source, f"cell {number}", "exec"), names)
    scored, report = names["scored"], names["report"]
    assert isinstance(scored, pd.DataFrame)
    assert len(scored) == 5
    assert scored["prediction"].notna().all()
    assert isinstance(report, Path)
    assert report.is_file()
    assert len(complete(home / "out" / "notebook")) == 2
