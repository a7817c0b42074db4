"""Settings that do not go together are refused before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.config.effectless import refuse_without_effect
from sweep.config.executor_settings import check_executor
from sweep.config.schema import ConfirmSettings, SearchSettings, Settings, TrackingSettings
from sweep.config.tasks import check_task
from sweep.core.errors import ConfigError
from sweep.core.optional import trouble_with
from sweep.space.space import Choices, Range, Space

#: Samplers whose draws do not depend on scores.
_INDIFFERENT = ("grid", "random", "qmc")

#: Keys under `data` that leave the dev pairs as they are.
_SAME_DEV_SET = ("data.train", "data.max_train_rows", "data.max_length", "data.template")


def check_settings(settings: Settings, *, given: Sequence[str]) -> None:
    """Refuse what can't be searched, and what can't be combined.

    Args:
        given: Keys that are set on the command line.

    Raises:
        ConfigError: names the rule, the value and the way out.
    """
    space = settings.space
    _check_search(settings.search)
    _check_sampler(settings)
    _check_confirm(settings.confirm, space)
    check_executor(settings.executor)
    _check_tracking(settings.tracking)
    _refuse_mixed_precisions(space)
    _refuse_other_dev_sets(space)
    check_task(settings)
    _refuse_fixed_and_searched(space, given)
    refuse_without_effect(settings, given=given)


def _check_tracking(tracking: TrackingSettings) -> None:
    if not tracking.timeout_s > 0:
        raise ConfigError("`tracking.timeout_s` must be above 0.", value=tracking.timeout_s)
    if tracking.tracker == "wandb" and tracking.uri is not None:
        raise ConfigError(
            "`tracking.uri` is of MLflow.",
            value=tracking.uri,
            way_out="tracking=mlflow; wandb takes WANDB_BASE_URL",
        )
    if tracking.tracker == "mlflow" and tracking.entity is not None:
        raise ConfigError(
            "`tracking.entity` is of wandb.", value=tracking.entity, way_out="tracking.project"
        )
    if tracking.tracker == "mlflow" and tracking.mode in ("online", "offline"):
        raise ConfigError(
            "`tracking.mode` of MLflow is auto or disabled.",
            value=tracking.mode,
            way_out="tracking.uri says where its runs go: a server or sqlite:///FILE",
        )


def _check_search(search: SearchSettings) -> None:
    if not search.seeds or len(set(search.seeds)) != len(search.seeds):
        raise ConfigError(
            "`search.seeds` must list at least one seed, each once.", value=list(search.seeds)
        )
    for key, seed in [
        *(("search.seeds", seed) for seed in search.seeds),
        ("search.sampler_seed", search.sampler_seed),
    ]:
        if not 0 <= seed < 2**32:
            raise ConfigError(f"`{key}` must lie in [0, 2**32).", value=seed)
    if not 0 <= search.audit <= 1:
        raise ConfigError("`search.audit` must lie in [0, 1].", value=search.audit)
    if search.timeout_min is not None and not search.timeout_min > 0:
        raise ConfigError("`search.timeout_min` must be above 0.", value=search.timeout_min)
    if search.n_trials < 1:
        raise ConfigError("`search.n_trials` must be at least 1.", value=search.n_trials)
    if search.reduction < 2:
        raise ConfigError("`search.reduction` must be at least 2.", value=search.reduction)
    if search.grace < 1:
        raise ConfigError("`search.grace` must be at least 1 evaluation.", value=search.grace)
    if search.pruner == "halving" and search.sampler not in _INDIFFERENT:
        raise ConfigError(
            "`search.pruner=halving` sees all configs before it ends any.",
            value=f"`search.sampler={search.sampler}` draws configs by the scores of earlier ones",
            way_out="take `search.pruner=asha` or `hyperband`, or `search=random`, `qmc`, `grid`",
        )


def _check_sampler(settings: Settings) -> None:
    """Refuse objectives, samplers and spaces that do not go together."""
    search, space = settings.search, settings.space
    if len(settings.objectives) > 1 and search.pruner != "none":
        raise ConfigError(
            "With several objectives no run is pruned: a weak score may be worth its low cost.",
            value=f"`search.pruner={search.pruner}`",
            way_out="set `search.pruner=none`, or seek `search.objectives=[pearson:max]`",
        )
    if search.sampler != "cmaes":
        return
    if len(settings.objectives) > 1:
        raise ConfigError(
            "CMA-ES seeks one objective.",
            value=list(search.objectives),
            way_out="take `search=nsga2` or `search=tpe`",
        )
    if not space.dimensions:
        return
    if sum(isinstance(d, Range) and not d.when for d in space.dimensions) < 2:
        raise ConfigError(
            "CMA-ES moves along ranges: it needs two of them, and labels have no order.",
            value=f"search.space: {', '.join(d.name for d in space.dimensions)}",
            way_out="write `{low, high}` instead of lists, or take `search=tpe`",
        )
    trouble = trouble_with("cmaes")
    if trouble is not None:
        raise ConfigError(
            "`search=cmaes` needs the package `cmaes`.",
            value=f"cmaes {trouble}",
            way_out='`pip install "sweep[cmaes]"`, or take `search=gp` or `search=tpe`',
        )


def _check_confirm(confirm: ConfirmSettings, space: Space) -> None:
    if confirm.top < 0 or confirm.seeds < 1 or not confirm.share >= 0:
        raise ConfigError(
            "`confirm` needs top >= 0, seeds >= 1 and share >= 0.",
            value=f"top {confirm.top}, seeds {confirm.seeds}, share {confirm.share:g}",
            way_out="`confirm=none` confirms nothing",
        )
    labelled = [d.name for d in space.dimensions if isinstance(d, Choices)]
    if confirm.each is not None and confirm.each not in labelled:
        raise ConfigError(
            "`confirm.each` must name a dimension of labels or values that is searched.",
            value=f"{confirm.each}; searched are {', '.join(labelled) or 'ranges alone'}",
            way_out="name one of these, or `confirm.each=null`",
        )


def _refuse_fixed_and_searched(space: Space, given: Sequence[str]) -> None:
    """A value on the command line for a searched key would be silently without effect."""
    searched = {key: d.name for d in space.dimensions for key in d.keys}
    for key, name in {**searched, **{key: key for key, _ in space.constants}}.items():
        if key in given:
            raise ConfigError(
                "A key is either searched or set.",
                value=f"`{key}` is set on the command line and by `search.space.{name}`",
                way_out="take it out of the search, with other labels or `search.space={...}`, "
                "or leave the override away",
            )


def _refuse_mixed_precisions(space: Space) -> None:
    """Scores of different precisions differ by rounding: one sweep is in one of them."""
    for dimension in space.dimensions:
        if "trainer.precision" in dimension.keys:
            raise ConfigError(
                "A sweep computes in one precision.",
                value=f"`trainer.precision` is searched by `{dimension.name}`",
                way_out="set `trainer.precision=fp32` or `bf16`; for both, run two sweeps",
            )


def _refuse_other_dev_sets(space: Space) -> None:
    """Scores on different dev pairs can't be compared: one sweep has one dev set."""
    for dimension in space.dimensions:
        for key in dimension.keys:
            if key.startswith("data.") and key not in _SAME_DEV_SET:
                raise ConfigError(
                    "A sweep compares scores on one dev set.",
                    value=f"`{key}` is searched by `{dimension.name}` and may change it",
                    way_out=f"search {', '.join(_SAME_DEV_SET)} only; for other data, run two "
                    "sweeps",
                )
