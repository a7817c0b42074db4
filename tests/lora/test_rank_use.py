"""Rank use against a full singular value decomposition, and on an adapter that PEFT wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from sweep.core.recipe import Lora, Recipe
from sweep.export.rank_table import rank_line, update_rank_use
from sweep.loop.trial import Run
from sweep.lora.rank_use import effective_rank, rank_use

QUERY = "base_model.model.bert.encoder.layer.1.attention.self.query"
POOLER = "base_model.model.bert.pooler.dense"


def write(folder: Path, factors: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"base_model.model.classifier.weight": np.ones((1, 4), dtype=np.float32)}
    for name, (a, b) in factors.items():
        tensors |= {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def random_factors(rank: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ((rank, 24), (40, rank))
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return a, b


@pytest.mark.parametrize("lora", [Lora(r=6, lora_alpha=12), Lora(r=6, use_rslora=True)])
def test_layers_equal_the_full_decomposition(tmp_path: Path, lora: Lora) -> None:
    factors = {QUERY: random_factors(6), POOLER: random_factors(6, seed=1)}
    pooler, query = rank_use(write(tmp_path, factors), lora)
    assert (query.layer, query.module, query.rank) == (1, "attention.self.query", 6)
    assert (pooler.layer, pooler.module) == (None, "bert.pooler.dense")
    for use, (a, b) in ((query, factors[QUERY]), (pooler, factors[POOLER])):
        values = np.linalg.svd(lora.scaling * b @ a, compute_uv=False)[:6]
        assert use.norm == pytest.approx(np.linalg.norm(lora.scaling * b @ a), rel=1e-5)
        shares = values / values.sum()
        assert use.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), 1e-5)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=16).filter(lambda v: max(v) > 1e-6))
def test_effective_rank_lies_between_one_and_the_rank_and_ignores_scale(v: list[float]) -> None:
    values = np.array(v)
    used = effective_rank(values)
    assert used is not None
    assert 1 - 1e-9 <= used <= len(v) + 1e-9
    assert effective_rank(7 * values) == pytest.approx(used)


def test_known_ranks() -> None:
    assert effective_rank(np.ones(5)) == pytest.approx(5)
    assert effective_rank(np.array([3.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(np.zeros(3)) is None


def test_update_that_is_not_the_product_alone_is_left_out(tmp_path: Path) -> None:
    adapter = write(tmp_path, {QUERY: random_factors(4)})
    assert rank_use(adapter, Lora(r=4, use_dora=True)) == []
    assert rank_use(adapter, Lora(r=4, init_lora_weights="pissa_niter_4")) == []
    assert len(rank_use(adapter, Lora(r=4, init_lora_weights="gaussian"))) == 1


def test_table_holds_every_kept_adapter_and_is_not_made_twice(
    tmp_path: Path, recipe: Recipe
) -> None:
    runs = [Run(i, {}, recipe.with_values({"lora.r": rank})) for i, rank in enumerate((2, 6))]
    for run in runs:
        zero = (random_factors(run.recipe.lora.r)[0], np.zeros((40, run.recipe.lora.r), "f4"))
        layers = {QUERY: random_factors(run.recipe.lora.r), POOLER: zero}
        write(tmp_path / "runs" / run.id / "adapter", layers)
    gone = Run(2, {}, recipe.with_values({"lora.r": 3}))
    rows = update_rank_use(tmp_path, [*runs, gone])
    text = (tmp_path / "rank_use.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "config_id,run_id,layer,module,rank,effective_rank,norm"
    assert len(rows) == 4
    assert sum(row.effective_rank is None for row in rows) == 2
    assert f"{runs[0].recipe.config_id},{runs[0].id},,bert.pooler.dense,2,,0.0" in text
    (line,) = rank_line(rows)
    assert line.startswith("ranks    r=2 used 2.0, r=6 used ")
    for run in runs:
        (tmp_path / "runs" / run.id / "adapter" / "adapter_model.safetensors").unlink()
    update_rank_use(tmp_path, runs)
    assert (tmp_path / "rank_use.csv").read_text(encoding="utf-8") == text
    assert rank_line(update_rank_use(tmp_path / "empty", [])) == []
