"""What people read: names of keys, values, settings, counts, durations, intervals. One way each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Keys whose last part is too long, or too much like that of another.
_NAMES = {
    "lora.lora_alpha": "alpha",
    "lora.lora_dropout": "dropout",
    "lora.target_modules": "targets",
    "trainer.learning_rate": "lr",
    "trainer.num_train_epochs": "epochs",
    "trainer.per_device_train_batch_size": "batch",
    "trainer.gradient_accumulation_steps": "accumulation",
    "trainer.max_steps": "steps",
    "trainer.warmup_steps": "warmup",
    "trainer.lr_scheduler_type": "schedule",
}
_TARGETS = "lora.target_modules"
#: Keys that make another method of LoRA, with the value that leaves it LoRA.
_VARIANT = {
    "lora.use_rslora": False,
    "lora.use_dora": False,
    "lora.lr_ratio": 1.0,
    "lora.init_lora_weights": True,
}
#: Joins the names of keys that changed together, as in `effects.csv`.
TOGETHER = " + "


def name_of(key: str) -> str:
    """`lora.lora_alpha` is `alpha`; keys that changed together are named one by one."""
    return TOGETHER.join(
        _NAMES.get(one, one.rpartition(".")[2]) for one in key.split(TOGETHER) if one
    )


def label_of(value: object) -> str:
    """Short text of a value for Optuna and tables: `0.1`, `true`, `query+value`, `query:4`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "+".join(label_of(inner) for inner in value)
    if isinstance(value, dict):
        return "+".join(f"{key}:{label_of(inner)}" for key, inner in value.items()) or "none"
    return "none" if value is None else str(value)


def value_text(value: object) -> str:
    """A value for people: numbers with three digits; of a model's or file's place the end, which
    tells them apart."""
    if isinstance(value, float):
        return "none" if math.isnan(value) else f"{value:.3g}"
    text = label_of(value)
    place = Path(text.removeprefix("package:"))
    is_place = text.startswith("package:") or place.is_absolute()
    return "/".join(place.parts[-2:]) if is_place else text


def setting(key: str, value: object) -> str:
    """`r=8`; targets speak for themselves: `on qv`."""
    text = value_text(value)
    return f"on {text}" if key == _TARGETS else f"{name_of(key)}={text}"


def settings_text(values: Mapping[str, object], *, none: str = "base settings") -> str:
    """A config: `r=8 alpha=16 on qv`, its targets last; `none` where nothing is searched.

    Targets alone are named: `on qv is best` would be no sentence. Where several keys make the
    method, it has its name: `DoRA lr=0.001`.
    """
    if list(values) == [_TARGETS]:
        return f"{name_of(_TARGETS)}={value_text(values[_TARGETS])}"
    method, *ordered = _method_and_others(values)
    ordered.sort(key=lambda keys: keys == (_TARGETS,))
    parts = [variant_name(values)] if method else []
    return " ".join([*parts, *(setting(key, values[key]) for (key,) in ordered)]) or none


def columns_of(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Searched keys as columns of a table for people, by title: what makes the method is one."""
    method, *others = _method_and_others(keys)
    return {**({"method": method} if method else {}), **{name_of(k): (k,) for (k,) in others}}


def cell_text(keys: tuple[str, ...], values: Mapping[str, object]) -> str:
    """What stands in a column of `columns_of`."""
    return variant_name(values) if len(keys) > 1 else value_text(values[keys[0]])


def _method_and_others(keys: Iterable[str]) -> list[tuple[str, ...]]:
    """The keys that make the method, where there are several, and each other key alone."""
    found = list(keys)
    method = tuple(key for key in found if key in _VARIANT)
    method = method if len(method) > 1 else ()
    return [method, *((key,) for key in found if key not in method)]


def variant_name(values: Mapping[str, object]) -> str:
    """What people call the method: `LoRA`, `DoRA`, `rsLoRA, LoRA+`, `LoRA, olora start`."""
    # Of a table that was read, truth values are texts.
    found = {key: label_of(values.get(key, usual)).lower() for key, usual in _VARIANT.items()}
    start = found["lora.init_lora_weights"]
    kinds = [
        *(["rsLoRA"] if found["lora.use_rslora"] == "true" else []),
        *(["DoRA"] if found["lora.use_dora"] == "true" else []),
        *(["LoRA+"] if float(found["lora.lr_ratio"]) != 1 else []),
    ]
    named = ", ".join(kinds) or "LoRA"
    return named if start == "true" else f"{named}, {start} start"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def compact(number: float) -> str:
    """`420`, `73.7k`, `1.2M`."""
    if number < 1e4:
        return f"{number:.0f}"
    return f"{number / 1e3:.1f}k" if number < 1e6 else f"{number / 1e6:.1f}M"


def duration(seconds: float) -> str:
    """`4.2 s`, `45 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def score_range(low: float, high: float) -> str:
    """The interval of a score: `0.819 to 0.875`."""
    return f"{low:.3f} to {high:.3f}"


def score_with_interval(value: float, low: float, high: float) -> str:
    """`0.8490 (95 % interval 0.819 to 0.875)`."""
    return f"{value:.4f} (95 % interval {score_range(low, high)})"


def difference_with_interval(value: float, low: float, high: float) -> str:
    """`+0.0663 (95 % interval +0.0388 to +0.0933)`: of two scores, always with its sign."""
    return f"{value:+.4f} (95 % interval {low:+.4f} to {high:+.4f})"


def excerpt(value: object, most: int = 80) -> str:
    """The beginning of a value that others have written: never more of it than people need."""
    return shortened(repr(value) if not isinstance(value, str) else repr(value[: most + 1]), most)


def shortened(text: str, most: int = 80) -> str:
    """The beginning of a text, with a sign that it goes on."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
