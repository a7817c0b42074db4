"""The examples, run as their pages say, on a tiny model and few steps."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pages import ROOT, blocks
from sweep.commands.cli import run_command
from sweep.config.compose import load_settings

EXAMPLES = ROOT / "examples"


def commands(name: str) -> list[list[str]]:
    """The words of every command on an example's page, behind `python`."""
    text = "\n".join(blocks(EXAMPLES / name / "README.md", "bash")).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[1:] for words in lines if words]


@pytest.fixture
def small(home: Path, tiny_model: Path) -> list[str]:
    """Overrides that make any sweep small; the examples lie in the start folder."""
    shutil.copytree(EXAMPLES, home / "examples")
    return [
        f"model.path={tiny_model}", "data.max_length=32", "data.max_train_rows=32",
        "data.max_dev_rows=24", "trainer.max_steps=2", "trainer.eval_steps=1",
        "trainer.eval_strategy=steps", "trainer.warmup_steps=0", "trainer.precision=fp32",
        "executor=in_process", "tracking=disabled", "confirm=none", "data.test=null",
    ]  # fmt: skip


def swept(words: list[str], small: list[str]) -> int:
    assert words[:2] == ["-m", "sweep"]
    return run_command([*words[2:], *small])


def table(name: str) -> pd.DataFrame:
    rows = pd.read_csv(Path("results") / name / "table.csv")
    assert set(rows["state"]) == {"complete"}
    return rows


def test_every_example_has_a_page_in_the_index() -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert all(f"({name}/README.md)" in index for name in folders)


def test_own_experiment(small: list[str]) -> None:
    whole, part = commands("own_experiment")
    assert len(load_settings([*whole[2:], *small])[0].configs()) == 3 * 2 * 2
    assert swept(part, small) == 0
    rows = table("작게")
    assert len(rows) == 2 * 2
    assert set(rows["lora.target_modules"]) == {"qv", "all-linear"}


def test_own_pairs(small: list[str]) -> None:
    script, sweep = commands("own_pairs")
    subprocess.run([sys.executable, *script], check=True, capture_output=True)
    rows = ["search.space={lora.r:[2,4]}"]
    assert swept([*sweep, *rows], small) == 0
    assert len(table("내_문장쌍")) == 2
    best = Path("results/내_문장쌍/best")
    assert run_command(["predict", str(best), "자료/개발 자료.jsonl", "--out", "점수.csv"]) == 0
    assert len(pd.read_csv("점수.csv")) == 200


def test_own_group(small: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    searched, alone = commands("own_group")
    assert swept(searched, small) == 0
    capfd.readouterr()
    assert sorted(table("비교")["lora.r"]) == [8, 8, 32]
    assert swept(alone, [*small, "--cfg"]) == 0
    assert yaml.safe_load(capfd.readouterr().out)["lora"]["use_rslora"]
