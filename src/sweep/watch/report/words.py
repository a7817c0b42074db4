"""Keys and values as people read them."""

from __future__ import annotations

import pandas as pd

_SHORT = {
    "lora.lora_alpha": "alpha",
    "lora.lora_dropout": "dropout",
    "lora.target_modules": "targets",
    "trainer.learning_rate": "lr",
    "trainer.num_train_epochs": "epochs",
    "trainer.per_device_train_batch_size": "batch size",
}
LONGEST_LABEL = 58


def short(key: str) -> str:
    """A key without its part; keys that changed together, as one of `effects.csv`, each so."""
    names = (_SHORT.get(k, k.rpartition(".")[2].replace("_", " ")) for k in key.split(" + "))
    return " + ".join(names)


def setting(key: str, value: object, *, bare: bool = False) -> str:
    """A key and its value in words; targets speak for themselves."""
    if isinstance(value, float):
        whole = "none" if pd.isna(value) else f"{value:.0f}"
        text = whole if pd.isna(value) or value.is_integer() else f"{value:.3g}"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if bare or key == "lora.target_modules" else f"{short(key)} {text}"


def cut(text: str, longest: int = LONGEST_LABEL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def duration(seconds: float) -> str:
    """In the largest unit that keeps two digits."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
