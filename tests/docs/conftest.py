"""The examples beside a start folder, and a study that one of them has left."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from pages import ROOT, commands_of
from shared import made_once
from sweep.commands.cli import run_command


@pytest.fixture(scope="session")
def small(tiny_model: Path) -> list[str]:
    """Overrides that make any sweep small."""
    return [
        f"model.path={tiny_model}", "data.max_length=32", "data.max_train_rows=32",
        "data.max_dev_rows=24", "trainer.max_steps=2", "trainer.eval_steps=1",
        "trainer.eval_strategy=steps", "trainer.warmup_steps=0", "trainer.precision=fp32",
        "executor=in_process", "tracking=disabled", "data.test=null",
        # The small model knows words of other pairs.
        "data.on_unknown=warn",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def korean_study(session_folder: Path, small: list[str]) -> Path:
    """The study of `examples/own_pairs`, run as its page says, with two objectives.

    It lies in `results/` of a folder that has `자료/` as well.
    """

    def train(folder: Path) -> None:
        shutil.copytree(ROOT / "examples", folder / "examples")
        script, sweep = commands_of(ROOT / "examples" / "own_pairs" / "README.md")
        subprocess.run([sys.executable, *script[1:]], cwd=folder, check=True, capture_output=True)
        two = "search.objectives=[pearson:max,lora_params:min]"
        with chdir(folder):
            words = [*sweep[3:], *small, "search.space={lora.r:[2,4]}", two]
            assert run_command(words) == 0

    return made_once(session_folder / "예제", train) / "results" / "내_문장쌍"
