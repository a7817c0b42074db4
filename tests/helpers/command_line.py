"""The command line in this process, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from sweep.commands.cli import run_command

SPACE = "search.space={lora.r:[2,4],lora.target_modules:[qv,all-linear]}"

#: To score the base without LoRA takes one more process.
BARE = "baselines=none"


def tiny_sweep(model: Path, files: dict[str, Path]) -> list[str]:
    """A grid of four configs on the tiny model, a second each."""
    return [
        f"model.path={model}",
        "data=files",
        f"data.train={files['train']}",
        f"data.dev={files['dev']}",
        "data.max_length=32",
        "trainer=smoke",
        "trainer.learning_rate=5e-3",
        "trainer.precision=fp32",
        "tracking=disabled",
        "executor=in_process",
        "confirm=none",
        BARE,
        "name=작은_실험",
        SPACE,
    ]


def whole_sweep(model: Path, files: dict[str, Path]) -> list[str]:
    """As `tiny_sweep`, with all that a study can hold: the base settings, two seeds, baselines,
    pairs set aside and a test file. Each run trains alone, so that its last digits are its own."""
    return [
        *(argument for argument in tiny_sweep(model, files) if argument not in (SPACE, BARE)),
        f"data.test={files['test']}",
        "data.holdout=0.25",
        "executor.pack_size=1",
        "search.seeds=[0,1]",
        "search.space={lora.r:[2,8],lora.target_modules:[qv,all-linear]}",
    ]


def run(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run_command(arguments)
    out, err = capfd.readouterr()
    return code, out, err


def table(study: Path, name: str = "table.csv", *, baselines: bool = False) -> pd.DataFrame:
    """Rows of LoRA's runs or configs; those of baselines as well, where they are asked for."""
    rows = pd.read_csv(study / name, float_precision="round_trip")
    if baselines:
        return rows
    own = rows[rows["kind"] == "lora"]
    # Baselines have no trial and no seed: beside them, pandas reads such numbers as floats.
    whole = [c for c in ("rank", "trial", "seed", "n_seeds") if c in own]
    return own.astype(dict.fromkeys(whole, int))


def without_costs(frame: pd.DataFrame) -> pd.DataFrame:
    measured = ["train_seconds", "tokens_per_second", "peak_memory_mb", "worker"]
    return frame.drop(columns=measured).sort_values("config_id", ignore_index=True)


def states(study: Path) -> set[str]:
    path = study / "table.csv"
    return set(pd.read_csv(path)["state"]) if path.is_file() else set()
