"""A setting on the command line that would change nothing is refused, with what it lacks."""

from __future__ import annotations

import pytest

from composing import settings
from sweep.core.errors import ConfigError

_IDLE = [
    (("search.n_trials=2", "+experiment=lora_grid"), "search.n_trials"),
    (("search.sampler_seed=1",), "search.sampler_seed"),
    (("search=tpe", "search.pruner=median", "search.reduction=4"), "search.reduction"),
    (("search.grace=2",), "search.grace"),
    (("search.audit=0.5",), "search.audit"),
    (("confirm=none", "confirm.seeds=3"), "confirm.seeds"),
    (("+experiment=lora_grid", "trainer.num_train_epochs=5"), "trainer.num_train_epochs"),
    (("trainer.eval_steps=10",), "trainer.eval_steps"),
    (("executor=in_process", "executor.workers=3"), "executor.workers"),
    (
        ("trainer.max_steps=20", "search.space={trainer.num_train_epochs: [1, 2]}"),
        "trainer.num_train_epochs",
    ),
]


@pytest.mark.parametrize(("overrides", "key"), _IDLE)
def test_setting_without_effect_is_refused(overrides: tuple[str, ...], key: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        settings(*overrides)
    assert refusal.value.rule == "A setting must have an effect."
    assert f"`{key}`" in str(refusal.value.value)
    assert refusal.value.way_out


@pytest.mark.parametrize(
    "overrides",
    [
        ("search=tpe", "search.n_trials=2", "search.sampler_seed=1"),
        ("search=random", "search.pruner=asha", "search.reduction=4", "search.audit=0.2"),
        ("trainer.max_steps=-1", "trainer.num_train_epochs=5"),
        ("trainer.eval_strategy=steps", "trainer.eval_steps=10"),
        ("trainer.num_train_epochs=1", "search.space={trainer.max_steps: [-1, 20]}"),
    ],
)
def test_setting_with_an_effect_is_taken(overrides: tuple[str, ...]) -> None:
    assert settings(*overrides).name == "sweep"
