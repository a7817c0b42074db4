"""Ranks and alphas of single layers, and modules trained in full: read, checked, told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from composing import settings
from families import resolve
from packs import tiny
from sweep.core.errors import ConfigError, TargetError
from sweep.core.recipe import Lora, Recipe
from sweep.lora.adapting import trained_in_full
from sweep.lora.packable import pack_key
from sweep.lora.patterns import check_patterns, layer_ranks


def refused(lora: Lora, family: str = "bert") -> str:
    with pytest.raises(TargetError) as error:
        check_patterns(resolve(family, "qv"), lora)
    return str(error.value)


def test_key_that_fits_no_adapted_layer_is_refused_with_the_names_there_are() -> None:
    for name in ("rank_pattern", "alpha_pattern"):
        message = refused(Lora(**{name: {"query": 4, "key": 2}}))
        assert f"every key of lora.{name} must fit an adapted layer" in message
        assert "'key' fits none" in message
        assert "query, value" in message


def test_two_keys_for_one_layer_are_refused() -> None:
    message = refused(Lora(rank_pattern={"query": 4, "layer.0.attention.self.query": 2}))
    assert "each layer may be named by one key" in message


def test_rank_of_a_layer_is_held_against_that_layer() -> None:
    targets = resolve("llama", "attention")
    assert "v_proj is 16 x 8" in refused(Lora(r=4, rank_pattern={"v_proj": 9}), "llama")
    check_patterns(targets, Lora(r=12, rank_pattern={"k_proj": 8, "v_proj": 8}))
    assert layer_ranks(targets, Lora(rank_pattern={"q_proj": 2})) == (2, 8, 8, 8) * 2


@pytest.mark.long
def test_patterns_are_read_set_and_searched() -> None:
    lora = settings("lora.rank_pattern={query: 4}", "lora.alpha_pattern={^bert.*value: 3}").lora
    assert (lora.rank_pattern, lora.alpha_pattern) == ({"query": 4}, {"^bert.*value": 3})
    searched = settings("search.space={lora.rank_pattern: [{query: 4}, {}, {value: 2, query: 1}]}")
    found = [r.lora.rank_pattern for _, r in searched.points()]
    assert found == [{"query": 4}, {}, {"value": 2, "query": 1}]
    labels = [*map(str, (d["lora.rank_pattern"] for d, _ in searched.points()))]
    assert labels == ["query:4", "none", "value:2+query:1"]


@pytest.mark.parametrize(
    "written",
    [
        "lora.rank_pattern={query: 0}",
        "lora.rank_pattern={query: many}",
        "lora.rank_pattern=[query]",
        "lora.rank_pattern={'(': 4}",
        "lora.alpha_pattern={query: -1}",
        "search.space={lora.rank_pattern: [query]}",
    ],
)
def test_pattern_of_another_form_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match=r"lora\.(rank|alpha)_pattern"):
        settings(written)


def test_patterns_make_another_config_and_none_leaves_it_the_id_that_it_had() -> None:
    plain = Recipe()
    assert replace(plain, lora=Lora(rank_pattern=None)).config_id == plain.config_id
    one = replace(plain, lora=Lora(rank_pattern={"query": 4, "value": 2}, use_rslora=True))
    same = replace(plain, lora=Lora(rank_pattern={"value": 2, "query": 4}, use_rslora=True))
    assert one.config_id == same.config_id != plain.config_id
    assert hash(one) == hash(same)


def test_modules_to_save_are_held_against_the_base(tiny_model: Path, tmp_path: Path) -> None:
    recipe = Recipe(model=tiny("bert", tiny_model, tmp_path / "model"))

    def found(*names: str) -> list[str]:
        return trained_in_full(replace(recipe, lora=Lora(modules_to_save=names)))

    assert "bert.embeddings.LayerNorm" in found("LayerNorm")
    assert found("position_embeddings") == ["bert.embeddings.position_embeddings"]
    for name, why in (
        ("nonsense", "fits none"),
        ("query", "has an adapter"),
        ("self", "fits none"),
    ):
        with pytest.raises(TargetError, match=why):
            found(name)
    alone = replace(recipe, lora=Lora(modules_to_save=("LayerNorm",)))
    assert pack_key(alone) == alone.run_id
