"""What `status` says of a study that another process drives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from rich.console import Console

from sweep.commands.live import show_status
from sweep.study.lock import locked

SPACE = {"lora.r": [2, 4], "lora.target_modules": ["qv", "mlp"]}
ENDLESS = {"lora.r": [2, 4], "trainer.learning_rate": {"low": 1e-4, "high": 1e-3}}


@pytest.mark.parametrize(
    ("search", "left"),
    [
        # Of 60 s each, one of the runs is done and one is half done.
        ({"sampler": "grid", "n_trials": 20, "space": SPACE}, "2 min 30 s"),
        ({"sampler": "random", "n_trials": 3, "space": SPACE}, "1 min 30 s"),
        ({"sampler": "tpe", "n_trials": 20, "space": SPACE}, "2 min 30 s"),
        ({"sampler": "random", "n_trials": 10, "space": ENDLESS}, "8 min 30 s"),
    ],
)
def test_time_left_counts_no_more_configs_than_the_space_has(
    tmp_path: Path, search: dict[str, Any], left: str
) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"search": {**search, "seeds": [0]}}))
    run = {"trial": 0, "seed": 0, "state": "complete", "train_seconds": 60.0, "steps": 10}
    going = {"trial": 1, "seed": 0, "state": "running", "steps": 5}
    rows = [{**run, "config_id": "a"}, {**going, "config_id": "b", "pearson_last": 0.5}]
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    console = Console(record=True, width=100)
    with locked(tmp_path):
        show_status(tmp_path, console)
    assert f"left   about {left} of the search" in console.export_text()
