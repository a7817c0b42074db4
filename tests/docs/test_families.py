"""The table of families says how each of them trains."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
import transformers as tf

from families import CONFIGS
from family_matrix import ALONE
from pages import ROOT
from sweep.core.errors import ModelError
from sweep.lora.anatomy import outline
from sweep.lora.by_row import is_by_row
from sweep.lora.flat import can_flatten
from sweep.lora.unpadded import can_unpad

_ROW = re.compile(r"^\| (in packs, without padding|in packs|alone|not at all) \| (.+) \|$", re.M)
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def _names(row: str) -> list[str]:
    return re.findall(r"`([\w-]+)`", row)


TABLE = {kind: _names(families) for kind, families in _ROW.findall(PAGE)}
#: Families of the table that are trained in other tests.
OTHERS: dict[str, Any] = {
    "camembert": tf.CamembertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2),
    "xlnet": tf.XLNetConfig(d_model=16, n_layer=1, n_head=2, d_inner=24),
}
PADDED_RIGHT = cast(Any, SimpleNamespace(padding_side="right"))


def test_table_has_every_family_that_is_tested() -> None:
    assert list(TABLE) == ["in packs, without padding", "in packs", "alone", "not at all"]
    trained = [family for kind, some in TABLE.items() if kind != "not at all" for family in some]
    assert sorted(trained) == sorted([*CONFIGS, *OTHERS])


def test_short_table_of_the_readme_has_the_same() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`bert`.+|`distilbert`.+|`gpt2`.+|`vit`.+) \| (.+) \|$", readme, re.M)
    found = {kind.replace("refused", "not at all"): _names(names) for names, kind in rows}
    assert found == TABLE


@pytest.mark.parametrize("family", sorted({*CONFIGS, *OTHERS}))
def test_family_trains_as_the_table_has_it(family: str) -> None:
    net = outline({**CONFIGS, **OTHERS}[family])
    if family in ALONE or not is_by_row(net):
        expected = "alone"
    elif can_unpad(net, PADDED_RIGHT) or can_flatten(net):
        expected = "in packs, without padding"
    else:
        expected = "in packs"
    assert family in TABLE[expected]


def test_family_without_a_classifier_does_not_train() -> None:
    assert TABLE["not at all"] == ["vit"]
    with pytest.raises(ModelError):
        outline(tf.ViTConfig())
