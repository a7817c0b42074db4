"""The program as a library: tables in, a study out, the same one on the second call."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import pandas as pd
import pytest
from rich.console import Console

import sweep
from sweep.core.errors import ConfigError, DataError, ExportError, StudyError

SPACE = "search.space={lora.r:[2,4]}"


@pytest.fixture
def tables(pair_files: dict[str, Path]) -> dict[str, pd.DataFrame]:
    read = {".csv": pd.read_csv, ".tsv": lambda p: pd.read_csv(p, sep="\t")}
    lines = {".jsonl": lambda p: pd.read_json(p, lines=True), ".json": pd.read_json}
    ways = read | lines
    return {split: ways[pair_files[split].suffix](pair_files[split]) for split in ("train", "dev")}


def overrides(tiny_model: Path, home: Path) -> list[str]:
    return [
        *(f"model.path='{tiny_model}'", f"results_dir='{home / '결과'}'", "name=표"),
        *("executor=in_process", "tracking=disabled", "confirm=none", "baselines=none"),
        *("trainer.max_steps=4", "trainer.eval_strategy=steps", "trainer.eval_steps=2"),
        *("trainer.per_device_train_batch_size=8", "data.max_length=32", SPACE),
    ]


@pytest.mark.trains
def test_tables_in_a_study_out_and_the_same_call_goes_on(
    home: Path, tiny_model: Path, tables: dict[str, pd.DataFrame]
) -> None:
    quiet = Console(file=io.StringIO())
    given = overrides(tiny_model, home)
    study = sweep.run_sweep(data=tables, overrides=given, console=quiet)
    assert study.leaderboard["lora.r"].tolist() == study.leaderboard["lora.r"].tolist()
    assert len(study.runs) == 2
    assert "is best" in study.verdict
    assert study.report().is_file()
    scored = study.best.predict(tables["dev"])
    assert len(scored) == len(tables["dev"])
    measured = study.leaderboard["mean"].max()
    assert scored["prediction"].corr(scored["label"]) == pytest.approx(measured, abs=0.2)
    pairs = datasets.Dataset.from_pandas(tables["dev"].rename(columns={"sentence1": "하나"}))
    again = sweep.load(study.best.folder).predict(pairs, text_a="하나")
    assert again["prediction"].tolist() == pytest.approx(scored["prediction"].tolist(), abs=1e-6)
    times = [p.stat().st_mtime_ns for p in sorted(study.folder.glob("runs/*/run.json"))]
    # The same pairs as parts of a DatasetDict are the same study.
    parts = datasets.DatasetDict(
        {name: datasets.Dataset.from_pandas(table) for name, table in tables.items()}
    )
    second = sweep.run_sweep(data=parts, overrides=given, console=quiet)
    assert second.folder == study.folder
    assert [p.stat().st_mtime_ns for p in sorted(study.folder.glob("runs/*/run.json"))] == times
    assert sweep.Study.open(study.folder).verdict == second.verdict


@pytest.mark.trains
def test_plan_says_what_there_is_to_train(
    home: Path, tiny_model: Path, tables: dict[str, pd.DataFrame]
) -> None:
    """Of data sets that were filtered, and hold more than sentences."""
    parts = {
        name: datasets.Dataset.from_pandas(table)
        .map(lambda row: {"input_ids": [1, 2, len(row["sentence1"])]})
        .filter(lambda row: row["input_ids"][2] > 0)
        for name, table in tables.items()
    }
    planned = sweep.plan(data=parts, overrides=overrides(tiny_model, home))
    assert planned.runs == 2
    assert planned.seconds > 0


def test_mistakes_are_raised_with_their_way_out(home: Path) -> None:
    with pytest.raises(ConfigError, match="train, dev and test"):
        sweep.run_sweep(data={"validation": pd.DataFrame()})
    with pytest.raises(ConfigError, match="validation"):
        sweep.run_sweep(data={"train": datasets.DatasetDict(), "dev": [("a", "b", 1)]})
    with pytest.raises(ConfigError, match="did you mean"):
        sweep.run_sweep("lora_gird")
    frame = pd.DataFrame({"sentence1": ["a"], "sentence2": ["b"]})
    with pytest.raises(DataError, match="score"):
        sweep.run_sweep(data={"train": frame, "dev": frame})
    with pytest.raises(ExportError):
        sweep.load(home)
    with pytest.raises(StudyError):
        sweep.Study.open(home)
    with pytest.raises(AttributeError, match="nothing"):
        _ = sweep.nothing


def test_names_are_there_and_cost_workers_nothing() -> None:
    assert set(sweep.__all__) <= {*dir(sweep), *sweep.__all__}
    for name in sweep.__all__:
        assert getattr(sweep, name).__doc__
