"""Quantization, searched: a study that compares float32 with nf4, and hands the better one over."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from command_line import run, table
from quantizers import needs
from studies import read_json
from sweep.lora.quantization import PACKAGES


@needs("nf4")
@pytest.mark.trains
def test_study_tells_float_from_quantized_and_merges_through_the_float_base(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    space = "search.space={model.quantization:[none,nf4]}"
    given = [a for a in arguments if not a.startswith("search.space")]
    code, out, _ = run("+experiment=lora_grid", *given, space, "search.seeds=[0,1]", capfd=capfd)
    assert code == 0
    assert "tiny bert in nf4: 0.0 MB" in out
    study = home / "results" / "작은_실험"
    rows = table(study).groupby("model.quantization")
    assert rows["config_id"].nunique().to_dict() == {"nf4": 1, "none": 1}
    memory = rows["base_memory_mb"].max()
    assert memory["nf4"] < memory["none"]
    effects = read_json(study / "effects.json")
    assert "quantization" in json.dumps(effects)
    small = table(study).query("`model.quantization` == 'nf4'").iloc[0]
    target = home / "small"
    name = f"{small['config_id']}-s{small['seed']}"
    options = ["--run", name, "--merge", "--to", str(target)]
    code, out, _ = run("export", str(study), *options, capfd=capfd)
    assert code == 0
    assert "merged into the float base" in out
    metrics = read_json(target / "metrics.json")
    assert metrics["pearson"] == pytest.approx(small["pearson"])
    assert metrics["pearson_merged_into_float"] != metrics["pearson"]
    assert "nf4" in (target / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", PACKAGES)
def test_missing_package_ends_a_sweep_before_anything_is_spent(
    kind: str,
    home: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sweep.lora.quantization.trouble_with", lambda name: "is not installed")
    code, _, err = run(
        "+experiment=lora_grid", *arguments, f"model.quantization={kind}", capfd=capfd
    )
    assert code == 2
    assert f'pip install "sweep[{kind}]"' in err
    assert not list(home.glob("results/*/runs/*"))


@needs("int8")
@pytest.mark.trains
def test_predict_says_on_which_base(
    home: Path,
    arguments: list[str],
    pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = ["search.space={}", "model.quantization=int8"]
    given = [a for a in arguments if not a.startswith("search.space")]
    assert run("+experiment=lora_grid", *given, *options, capfd=capfd)[0] == 0
    best = home / "results" / "작은_실험" / "best"
    code, _, err = run("predict", str(best), str(pair_files["dev"]), capfd=capfd)
    assert code == 0
    assert "scored on the int8 base" in err
    assert f"Pearson {read_json(best / 'metrics.json')['pearson']:.4f}" in err
    assert pd.read_csv(best.parent / "table.csv")["base_memory_mb"].notna().any()
