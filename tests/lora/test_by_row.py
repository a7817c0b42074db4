"""Which bases can be packed: found out from shapes, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    AlbertConfig,
    BartConfig,
    FunnelConfig,
    GPT2Config,
    LongformerConfig,
    MPNetConfig,
    PretrainedConfig,
)

from packs import FAMILIES, MIXED, tiny
from sweep.core.recipe import Recipe
from sweep.lora.anatomy import outline
from sweep.lora.by_row import is_by_row
from sweep.lora.packable import pack_key, why_alone, why_plain

_SMALL: dict[str, Any] = {"num_hidden_layers": 1, "num_labels": 1, "pad_token_id": 1}


@pytest.mark.parametrize("family", [*FAMILIES, *MIXED])
def test_families_are_packed_where_all_layers_see_rows(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=0.1)
    lora = replace(recipe.lora, target_modules="all-linear")
    one, other = (replace(recipe, model=model, lora=replace(lora, r=r)) for r in (2, 4))
    packed = family in FAMILIES
    assert why_alone(one) == (None if packed else "a base with layers that see more than its rows")
    assert (pack_key(one) == pack_key(other)) == packed
    # The batched layers compute it all the same.
    assert why_plain(one) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (AlbertConfig(**_SMALL), True),
        (MPNetConfig(**_SMALL), True),
        # Can't take a batch without a padding token, which shows only after the last layer.
        (GPT2Config(n_layer=1, num_labels=1), True),
        # Looks for the end of each text, which has no shape, after the last layer.
        (BartConfig(encoder_layers=1, decoder_layers=1, num_labels=1), True),
        # Its dropouts see a table of positions.
        (FunnelConfig(block_sizes=[1], num_labels=1), False),
        # Can't be followed into its layers.
        (LongformerConfig(**_SMALL, attention_window=4), False),
    ],
)
def test_what_can_not_be_followed_to_its_last_layer_is_not_packed(
    config: PretrainedConfig, expected: bool
) -> None:
    assert is_by_row(outline(config)) is expected
