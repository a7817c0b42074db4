"""What people read of settings: one name for a method, however its keys are written."""

from __future__ import annotations

import pytest

from sweep.core.recipe import Lora
from sweep.core.words import cell_text, columns_of, settings_text, variant_name

METHODS = {
    "LoRA": Lora(),
    "rsLoRA": Lora(use_rslora=True),
    "DoRA": Lora(use_dora=True),
    "LoRA+": Lora(lr_ratio=8),
    "DoRA, LoRA+": Lora(use_dora=True, lr_ratio=2.0),
    "LoRA, olora start": Lora(init_lora_weights="olora"),
}
KEYS = tuple(f"lora.{n}" for n in ("use_rslora", "use_dora", "lr_ratio", "init_lora_weights"))


@pytest.mark.parametrize("name", METHODS)
def test_method_has_one_name_in_recipe_and_table(name: str) -> None:
    lora = METHODS[name]
    values = {f"lora.{key}": value for key, value in vars(lora).items()}
    assert lora.variant == variant_name(values) == name
    # As a table is read again: all of it may be text.
    assert variant_name({key: str(values[key]) for key in KEYS}) == name


def test_several_keys_of_the_method_are_one_column_and_one_word() -> None:
    values = dict.fromkeys(KEYS, False) | {"lora.lr_ratio": 1, "lora.init_lora_weights": True}
    values |= {"lora.use_dora": True, "trainer.learning_rate": 1e-3}
    columns = columns_of(values)
    assert [*columns] == ["method", "lr"]
    assert [cell_text(keys, values) for keys in columns.values()] == ["DoRA", "0.001"]
    assert settings_text(values) == "DoRA lr=0.001"


def test_one_key_of_the_method_keeps_its_name() -> None:
    assert columns_of(["lora.use_dora", "lora.r"]) == {
        "use_dora": ("lora.use_dora",),
        "r": ("lora.r",),
    }
    assert settings_text({"lora.use_dora": True}) == "use_dora=true"
