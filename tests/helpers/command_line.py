"""The command line in this process, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sweep.commands.cli import run_command

SPACE = "search.space={lora.r:[2,4],lora.target_modules:[qv,all-linear]}"


def run(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run_command(arguments)
    out, err = capfd.readouterr()
    return code, out, err


def table(study: Path, name: str = "table.csv") -> pd.DataFrame:
    return pd.read_csv(study / name, float_precision="round_trip")


def without_costs(frame: pd.DataFrame) -> pd.DataFrame:
    measured = ["train_seconds", "tokens_per_second", "peak_memory_mb", "worker"]
    return frame.drop(columns=measured).sort_values("config_id", ignore_index=True)


def states(study: Path) -> set[str]:
    path = study / "table.csv"
    return set(pd.read_csv(path)["state"]) if path.is_file() else set()
