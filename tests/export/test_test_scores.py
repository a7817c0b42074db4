"""Test and held-out pairs: scored once, after the search, which never reads them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweep.commands.cli import run_command
from sweep.core.metric import PEARSON
from sweep.core.recipe import Data, Lora, Recipe
from sweep.data import pairs as pairs_data
from sweep.data.pairs import Pairs
from sweep.export import test_scores
from sweep.export.test_scores import FinalScores, FinalScoring
from sweep.loop.trial import Run
from sweep.train import splits


@pytest.fixture
def arguments(tiny_model: Path, pair_files: dict[str, Path]) -> list[str]:
    """Two configs on two seeds, one of them the base settings; a second or two in all."""
    return [
        f"model.path={tiny_model}",
        "data=files",
        *(f"data.{split}={path}" for split, path in pair_files.items()),
        "data.max_length=32",
        "data.holdout=0.25",
        "trainer=smoke",
        "trainer.precision=fp32",
        "tracking=disabled",
        "executor=in_process",
        "executor.pack_size=4",
        "search.space={lora.r:[2,8]}",
        "search.seeds=[0,1]",
    ]


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def test_exported_config_and_baseline_are_scored_once_and_it_is_said(
    copied_study: Path,
    study_arguments: list[str],
    pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    study = copied_study
    found, metrics = read(study / "test.json"), read(study / "best" / "metrics.json")
    assert (found["run_id"], found["looks"]) == (metrics["run_id"], 1)
    table = pd.read_csv(study / "table.csv")
    runs = int((table["config_id"] == found["config_id"]).sum())
    assert [(s["split"], s["rows"], s["num_runs"]) for s in found["splits"]] == [
        ("test", 40, runs), ("holdout", 24, runs),
    ]  # fmt: skip
    base = (table["lora.r"] == 8) & (table["lora.target_modules"] == "qv")
    assert found["baseline_id"] == table[base]["config_id"].iloc[0]
    card = (study / "best" / "README.md").read_text(encoding="utf-8")
    for scored in found["splits"]:
        assert scored["adapter"]["ci_low"] < scored["adapter"]["value"]
        assert scored["adapter"]["value"] < scored["adapter"]["ci_high"]
        assert found[f"exported_{scored['split']}"]["pearson"] == scored["config"]["value"]
        assert found[f"baseline_{scored['split']}"]["config_id"] == found["baseline_id"]
        difference = scored["difference"] and scored["difference"]["value"]
        gap = scored["config"]["value"] - scored["baseline"]["value"]
        is_base = found["config_id"] == found["baseline_id"]
        assert difference == (None if is_base else pytest.approx(gap))
    for sentence in found["sentences"]:
        assert " ".join(sentence.split()) in card
    assert all(said in card for said in read(study / "effects.json")["sentences"])
    assert metrics["final_scores"] == found
    order = metrics["order_asymmetry"]
    assert order["mean_difference"] > 0
    assert f"{order['mean_difference']:.3f}" in card
    assert read(study / "guard.json")["on_leak"] == "warn"

    stamp = (study / "test.json").stat().st_mtime_ns
    assert run_command(study_arguments) == 0
    out, _ = capfd.readouterr()
    for sentence in found["sentences"]:
        assert sentence in out
    assert (study / "test.json").stat().st_mtime_ns == stamp
    assert read(study / "best" / "metrics.json")["final_scores"] == found

    # The score is that of the adapter that is handed over.
    assert run_command(["predict", str(study / "best"), str(pair_files["test"])]) == 0
    shown = [float(word) for word in re.findall(r"-?\d\.\d+", capfd.readouterr().err)]
    on_test = found["splits"][0]
    assert shown == pytest.approx([on_test["adapter"]["value"], on_test["spearman"]], abs=1e-3)


TEST = Pairs(
    tuple(f"a{i}" for i in range(60)),
    tuple(f"b{i}" for i in range(60)),
    np.random.default_rng(0).uniform(0, 5, 60),
    "test",
)


def run_of(rank: int, seed: int) -> Run:
    return Run(rank, {}, Recipe(data=Data(test="test"), lora=Lora(r=rank), seed=seed))


def final(folder: Path, exported: Run, complete: list[Run]) -> FinalScoring:
    """Rank 8 is the base settings."""
    return FinalScoring(folder, exported, complete, baseline_id=run_of(8, 0).recipe.config_id)


def scores_of(scoring: FinalScoring, complete: list[Run]) -> FinalScores:
    """As if every run predicted the labels, with luck of its own."""
    assert TEST.labels is not None
    luck = {run.id: np.random.default_rng([run.trial, run.recipe.seed]) for run in complete}
    found = scoring.scores(
        {"test": {i: TEST.labels + rng.normal(size=60) for i, rng in luck.items()}}
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    "later",
    [
        [run_of(16, 0), run_of(16, 1)],
        [run_of(16, 0), run_of(8, 0)],
        [run_of(16, s) for s in range(3)] + [run_of(8, s) for s in range(3)],
    ],
)
def test_study_that_has_gained_seeds_or_its_base_settings_is_scored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: list[Run]
) -> None:
    monkeypatch.setattr(test_scores, "load_split", lambda data, split: TEST)
    (tmp_path / "fresh").mkdir()
    exported = run_of(16, 0)
    first = scores_of(final(tmp_path, exported, [exported]), [exported])
    again = final(tmp_path, exported, later)
    assert {adapter.run.id for adapter in again.wanted[0].adapters} == {run.id for run in later}
    found = scores_of(again, later)
    # The same adapter: nobody has chosen anew.
    assert (first.looks, found.looks) == (1, 1)
    assert found == scores_of(final(tmp_path / "fresh", exported, later), later)
    assert final(tmp_path, exported, later[::-1]).wanted == []
    other = scores_of(final(tmp_path, later[1], later), later)
    assert other.looks == 2


def test_scores_that_an_earlier_version_kept_are_made_again_and_its_looks_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_scores, "load_split", lambda data, split: TEST)
    exported = run_of(16, 0)
    scores_of(final(tmp_path, exported, [exported]), [exported])
    content = read(tmp_path / "test.json")
    older = {k: v for k, v in content.items() if not k.endswith("_runs")} | {"looks": 3}
    (tmp_path / "test.json").write_text(json.dumps(older), encoding="utf-8")
    again = final(tmp_path, exported, [exported])
    assert again.wanted
    assert scores_of(again, [exported]).looks == 3


def test_base_settings_are_not_compared_with_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_scores, "load_split", lambda data, split: TEST)
    runs = [run_of(8, seed) for seed in range(3)]
    found = scores_of(final(tmp_path, runs[0], runs), runs)
    assert "mean of 3 seeds" in found.lines(PEARSON)[0]
    assert "base settings" not in found.lines(PEARSON)[0]
    assert found.splits[0].difference is None


@pytest.mark.trains
def test_scrambled_test_labels_change_nothing_but_the_test_score(
    home: Path,
    arguments: list[str],
    pair_files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def spy(data: Any, split: Any) -> Any:
        asked.append(split)
        return pairs_data.load_split(data, split)

    monkeypatch.setattr(splits, "load_split", spy)
    splits.splits.cache_clear()
    frame = pd.read_csv(pair_files["test"])
    frame["score"] = np.random.default_rng(0).permutation(frame["score"])
    frame.to_csv(home / "scrambled.csv", index=False)
    plain = [a for a in arguments if a not in ("search.seeds=[0,1]", "data.holdout=0.25")]
    scrambled = [a if "data.test=" not in a else "data.test=scrambled.csv" for a in plain]
    for name, given in (("plain", plain), ("scrambled", scrambled)):
        assert run_command([*given, "data.on_leak=drop", f"name={name}"]) == 0
    # What trains never asks for anything else.
    assert set(asked) == {"train", "dev"}
    one, other = (home / "results" / name for name in ("plain", "scrambled"))
    columns = ["trial", "state", "pearson", "pearson_last", "best_step", "spearman", "lora.r"]
    tables = [pd.read_csv(study / "table.csv")[columns] for study in (one, other)]
    pd.testing.assert_frame_equal(*tables)
    best = [read(study / "best" / "metrics.json") for study in (one, other)]
    assert best[0]["trial"] == best[1]["trial"]
    assert best[0]["evaluations"] == best[1]["evaluations"]
    scored = [metrics["final_scores"]["splits"][0]["adapter"]["value"] for metrics in best]
    assert scored[0] != scored[1]


@pytest.mark.long
def test_leak_is_refused_before_anything_is_made(
    home: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    train, dev = (pd.read_csv(pair_files[split]) for split in ("train", "dev"))
    swapped = {"sentence1": "sentence2", "sentence2": "sentence1"}
    pd.concat([train, dev.head(3).rename(columns=swapped)]).to_csv(home / "t.csv", index=False)
    leaky = [a if "data.train=" not in a else "data.train=t.csv" for a in arguments]
    assert run_command([*leaky, "data.on_leak=error"]) == 2
    assert "data.on_leak=drop" in capfd.readouterr().err
    assert run_command([*leaky, "search.space={data.holdout:[0.1,0.2]}", "data.test=null"]) == 2
    assert "compares scores on one dev set" in capfd.readouterr().err
    assert not (home / "results").exists()
