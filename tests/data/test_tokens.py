"""The token cache: found again, told apart by all that decides the ids, never in the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sweep.core.recipe import Recipe
from sweep.data import tokens
from sweep.data.pairs import load_split, tokenized
from sweep.data.tokens import cached_tokens


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "캐시"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder / "sweep"


def made(cache: Path) -> int:
    return sum(path.is_dir() for path in cache.iterdir())


def test_second_time_nothing_is_tokenised(
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = load_split(recipe.data, "dev")
    fresh = tokenized(pairs, tokenizer, recipe.data).to_dict()
    assert cached_tokens(pairs, tokenizer, recipe.data).to_dict() == fresh
    monkeypatch.setattr(tokens, "tokenized", lambda *_: pytest.fail("tokenised again"))
    assert cached_tokens(pairs, tokenizer, recipe.data).to_dict() == fresh


def test_everything_that_decides_the_ids_tells_caches_apart(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, cache: Path
) -> None:
    dev, train = load_split(recipe.data, "dev"), load_split(recipe.data, "train")
    short = replace(recipe.data, max_length=8)
    wide = replace(recipe.data, label_range=(0.0, 10.0))
    for pairs, data in ((dev, recipe.data), (train, recipe.data), (dev, short), (dev, wide)):
        cached_tokens(pairs, tokenizer, data)
    assert made(cache) == 4
    tokenizer.add_tokens(["고양이책"])
    cached_tokens(dev, tokenizer, recipe.data)
    assert made(cache) == 5


def test_cache_that_is_broken_or_can_not_be_written_costs_nothing_but_time(
    recipe: Recipe, tokenizer: PreTrainedTokenizerBase, cache: Path
) -> None:
    pairs = load_split(recipe.data, "dev")
    fresh = tokenized(pairs, tokenizer, recipe.data).to_dict()
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert cached_tokens(pairs, tokenizer, recipe.data).to_dict() == fresh
    cache.unlink()
    cached_tokens(pairs, tokenizer, recipe.data)
    for path in cache.rglob("*.arrow"):
        path.write_bytes(b"half")
    assert cached_tokens(pairs, tokenizer, recipe.data).to_dict() == fresh
