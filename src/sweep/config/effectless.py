"""Settings of the command line that would be without effect beside others: refused, not ignored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sweep.config.schema import Settings
from sweep.core.errors import ConfigError


@dataclass(frozen=True)
class _Idle:
    """A key, the settings beside which it does nothing, and what to do instead."""

    key: str
    beside: Callable[[Settings], str | None]
    way_out: str


def _when(holds: Callable[[Settings], bool], words: str) -> Callable[[Settings], str | None]:
    return lambda settings: words if holds(settings) else None


_IS_GRID = _when(lambda s: s.search.sampler == "grid", "`search=grid`, which trains every cell")
_CUTS_NONE = _when(
    lambda s: s.search.pruner not in ("halving", "asha"), "a pruner other than `halving` and `asha`"
)
_IDLE = (
    _Idle("search.n_trials", _IS_GRID, "take `search=tpe` or `random`, or fewer values to search"),
    _Idle("search.sampler_seed", _IS_GRID, "a grid draws nothing; take `search=random` or `tpe`"),
    _Idle("search.reduction", _CUTS_NONE, "set `search.pruner=asha` or `halving`"),
    _Idle("search.grace", _CUTS_NONE, "set `search.pruner=asha` or `halving`"),
    _Idle(
        "search.audit",
        _when(lambda s: s.search.pruner == "none", "`search.pruner=none`, which ends no run"),
        "set a pruner, for example `search.pruner=asha`",
    ),
    _Idle(
        "confirm.seeds",
        _when(lambda s: s.confirm.top == 0, "`confirm.top=0`, which confirms nothing"),
        "set `confirm=auto`, or `confirm.top=3`",
    ),
    _Idle(
        "trainer.num_train_epochs",
        lambda s: f"`trainer.max_steps={s.trainer.max_steps}`" if s.trainer.max_steps > 0 else None,
        "set `trainer.max_steps=-1` to train whole epochs, or other `trainer.max_steps`",
    ),
    _Idle(
        "trainer.eval_steps",
        _when(lambda s: s.trainer.eval_strategy == "epoch", "`trainer.eval_strategy=epoch`"),
        "set `trainer.eval_strategy=steps`",
    ),
    _Idle(
        "task.loss",
        _when(lambda s: s.task.encoder == "cross", "`task.encoder=cross`, which has one loss"),
        "set `task.encoder=bi`",
    ),
    _Idle(
        "executor.workers",
        _when(lambda s: s.executor.kind == "in_process", "`executor=in_process`, which has none"),
        "set `executor=processes`",
    ),
)


def refuse_without_effect(settings: Settings, *, given: Sequence[str]) -> None:
    """Refuse a key that is set, or searched, and changes nothing.

    Args:
        given: Keys that are set on the command line.

    Raises:
        ConfigError: names the key, what it is without effect beside, and the way out.
    """
    searched = settings.space.keys
    for idle in _IDLE:
        if idle.key not in (*given, *searched):
            continue
        beside = None if _decider(idle.key) in searched else idle.beside(settings)
        if beside is not None:
            how = "searched" if idle.key in searched else "set on the command line"
            raise ConfigError(
                "A setting must have an effect.",
                value=f"`{idle.key}` is {how}, beside {beside}",
                way_out=idle.way_out,
            )


def _decider(key: str) -> str | None:
    """The key whose value decides whether this one counts, where it can be searched itself."""
    return {
        "trainer.num_train_epochs": "trainer.max_steps",
        "trainer.eval_steps": "trainer.eval_strategy",
        "task.loss": "task.encoder",
    }.get(key)
