"""Rows set aside: how many, which, and that training never sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.core.errors import DataError
from sweep.core.recipe import Data, Recipe
from sweep.data.holdout import held_out
from sweep.data.pairs import load_split


@pytest.mark.long
@given(
    st.lists(st.floats(0, 5), min_size=10, max_size=200),
    st.floats(0.2, 0.8),
    st.integers(0, 5),
)
def test_share_is_kept_and_every_part_of_the_scale_is_there(
    scores: list[float], share: float, seed: int
) -> None:
    labels = np.array(scores)
    keys = [(str(i), "b") for i in range(len(labels))]
    aside = held_out(keys, labels, holdout=share, seed=seed)
    assert aside.sum() == round(share * len(labels))
    # Stratified: any quantile of the part lies within one slice of the whole's.
    whole, part = np.sort(labels), np.sort(labels[aside])
    ends = np.linspace(0, len(whole), len(part) + 1).astype(int)
    assert (part >= whole[ends[:-1]]).all()
    assert (part <= whole[ends[1:] - 1]).all()
    again = held_out(keys, labels, holdout=share, seed=seed)
    assert (aside == again).all()


def test_pair_that_occurs_twice_is_never_held_out() -> None:
    keys = [("a", "b"), ("b", "a"), *[(str(i), "c") for i in range(8)]]
    for seed in range(20):
        aside = held_out(keys, np.arange(10.0), holdout=4, seed=seed)
        assert not aside[:2].any()
        assert aside.sum() == 4


@pytest.mark.parametrize("holdout", [0.01, 9, 10, 50, 0.99])
def test_too_much_or_too_little_is_refused(holdout: float) -> None:
    with pytest.raises(DataError, match=r"data\.holdout"):
        held_out([(str(i), "b") for i in range(10)], np.arange(10.0), holdout=holdout, seed=0)


def test_train_and_held_out_rows_share_nothing_and_are_all_rows(recipe: Recipe) -> None:
    whole = load_split(recipe.data, "train")
    data = replace(recipe.data, holdout=0.25)
    kept, aside = (load_split(data, split) for split in ("train", "holdout"))
    assert (len(kept), len(aside)) == (72, 24)
    assert sorted(kept.keys + aside.keys) == sorted(whole.keys)
    assert not set(kept.keys) & set(aside.keys)
    fewer = replace(data, max_train_rows=20)
    assert load_split(fewer, "holdout").digest() == aside.digest()
    assert set(load_split(fewer, "train").keys) <= set(kept.keys)
    assert load_split(replace(data, holdout_seed=1), "holdout").digest() != aside.digest()


def test_asking_for_what_is_not_held_out_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.holdout=0\.1"):
        load_split(Data(), "holdout")


def test_holding_rows_out_makes_another_config(recipe: Recipe) -> None:
    assert replace(recipe, data=replace(recipe.data, holdout=0.1)).config_id != recipe.config_id
