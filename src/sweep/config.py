"""The configuration: Hydra composes it, this module checks it and turns it into frozen values.

The schema is the dataclasses below and those of `sweep.core.recipe`. Hydra gets their defaults
as the node `schema`, so that every key can be set on the command line; after composition every
key and type is checked again, since YAML files can add keys that Hydra lets through.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from sweep.core.errors import ConfigError
from sweep.core.objectives import Objective, parse_objectives
from sweep.core.recipe import (
    SEARCHABLE_KEYS,
    Data,
    Lora,
    Model,
    Recipe,
    Trainer,
    check_ranges,
)
from sweep.core.space import Params, Range, Space, parse_space
from sweep.core.starting_points import start_point
from sweep.group_choices import GROUPS, expand_groups
from sweep.overrides import Places, Ready, nearest, prepare, quoted, rename_old_keys

T = TypeVar("T")


@dataclass(frozen=True)
class Search:
    """How configs are chosen."""

    #: `grid` trains every cell; the others draw `n_trials` configs in total.
    sampler: Literal["grid", "random", "qmc", "tpe", "gp", "cmaes", "nsga2"] = "grid"
    n_trials: int = 20
    #: Minutes of a start after which no run is begun and those under way are saved; None is no
    #: limit. It may change between starts.
    timeout_min: float | None = None
    #: What is sought: `pearson:max`, alone or with `lora_params:min`, `peak_memory_mb:min` or
    #: `train_seconds:min`. Configs are ranked by Pearson whatever is sought.
    objectives: tuple[str, ...] = ("pearson:max",)
    #: Seeds that a config is trained with, one after the other; its score is their mean.
    seeds: tuple[int, ...] = (0,)
    #: A further seed is trained only while the config may still be the best one.
    race: bool = True
    #: Seed of the sampler, not of the training.
    sampler_seed: int = 0
    #: Ends runs early whose dev scores fall behind, at their evaluations. `halving` looks at all
    #: configs at once and so needs a sampler that does not learn; the others judge as they come.
    pruner: Literal["none", "median", "percentile", "halving", "asha", "hyperband"] = "none"
    #: Of `halving` and `asha`: the best 1 in so many goes on.
    reduction: int = 3
    #: Share of the runs to be pruned that is trained on all the same, to see what pruning costs.
    audit: float = 0.1
    #: Configs that are tried first: dimension to label or number, or dotted key to value.
    start_with: tuple[dict[str, Any], ...] = ()
    #: Whether a sampler tries the base recipe first, as what is to be beaten: `auto` does where
    #: the space holds it. A grid has its cells and no other.
    baseline: bool | Literal["auto"] = "auto"
    #: Name or dotted key to choices, a range or a constant; see `docs/configuration.md`.
    space: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Confirm:
    """Training the leaders again, on seeds that the search never used."""

    #: Configs with the best means, beside the baseline; 0 confirms nothing.
    top: int = 3
    #: Fresh seeds of each.
    seeds: int = 5
    #: Runs at most, as a share of the runs of the search; seeds are saved where it is too little.
    share: float = 1.0


@dataclass(frozen=True)
class Executor:
    """Where runs are trained."""

    #: `auto`: worker processes; `in_process` trains in the driver, for debugging.
    kind: Literal["auto", "processes", "in_process"] = "auto"
    #: Worker processes; None takes one per GPU, else one per CPU core.
    workers: int | None = None
    #: Threads per worker; None shares the cores out.
    threads: int | None = None
    #: Most runs that a worker trains together on one frozen base; None takes 32 on a GPU, else 1.
    pack_size: int | None = None


@dataclass(frozen=True)
class Tracking:
    """Weights & Biases."""

    #: `auto`: online when a key is at hand, else offline. `disabled`: nothing is written.
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    project: str = "sweep"
    entity: str | None = None
    #: Longest wait for the server at the start and at the end of a run.
    timeout_s: float = 30.0


@dataclass(frozen=True)
class Settings:
    """One sweep, in full."""

    name: str
    model: Model
    data: Data
    lora: Lora
    trainer: Trainer
    search: Search
    confirm: Confirm
    executor: Executor
    tracking: Tracking
    results_dir: str = "results"
    resume: Literal["continue", "extend", "restart"] = "continue"
    #: `plan` says what would be trained and how long it would take, and trains nothing.
    mode: Literal["run", "plan"] = "run"

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return Path(self.results_dir) / self.name

    @property
    def space(self) -> Space:
        return parse_space(self.search.space, valid_keys=SEARCHABLE_KEYS)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return parse_objectives(self.search.objectives)

    def recipe(self, seed: int) -> Recipe:
        """The recipe that the space starts from."""
        return Recipe(self.model, self.data, self.lora, self.trainer, seed)

    @property
    def baseline(self) -> Params | None:
        """The point that is the base recipe, which the others are compared with.

        None where the space does not hold it, or without `search.baseline`.

        Raises:
            ConfigError: `search.baseline=true`, and the space does not hold it.
        """
        if self.search.baseline is False:
            return None
        try:
            return self.space.point_of(self.recipe(seed=0).value_of)
        except ConfigError as error:
            if self.search.baseline is True:
                raise ConfigError(
                    "`search.baseline=true` needs a space that holds the base recipe.",
                    value=error.value,
                    way_out="add it, set another base, or leave it at `search.baseline=auto`",
                ) from None
            return None

    @property
    def baseline_id(self) -> str | None:
        """`config_id` of the baseline."""
        params = self.baseline
        return None if params is None else self.expand(params, seed=0).config_id

    def first_points(self) -> list[Params]:
        """What is tried first: `search.start_with`, and before it, except in a grid, the baseline.

        Raises:
            ConfigError: an entry is no point of the space.
        """
        base, space = self.recipe(seed=0), self.space
        given = [start_point(entry, space, base) for entry in self.search.start_with]
        baseline = self.baseline
        if baseline is None or self.search.sampler == "grid":
            return given
        return [baseline, *given]

    def expand(self, params: Params, seed: int) -> Recipe:
        """The recipe of a point of the space."""
        recipe = checked(self.recipe(seed).with_values(self.space.values(params)))
        return dataclasses.replace(
            recipe, model=_absolute_model(recipe.model), data=_absolute_data(recipe.data)
        )


#: Samplers whose draws do not depend on scores.
_INDIFFERENT = ("grid", "random", "qmc")

#: Keys under `data` that leave the dev pairs as they are.
_SAME_DEV_SET = ("data.train", "data.max_train_rows", "data.max_length")

_PARTS: dict[str, type] = {
    "model": Model,
    "data": Data,
    "lora": Lora,
    "trainer": Trainer,
    "search": Search,
    "confirm": Confirm,
    "executor": Executor,
    "tracking": Tracking,
}
_SCALARS: dict[str, Any] = {
    "name": None,
    "results_dir": "results",
    "resume": "continue",
    "mode": "run",
}


def assets() -> Path:
    """Folder that holds `conf/` and `sweeps/`: the package when installed, else the checkout."""
    package = Path(__file__).resolve().parent
    return package if (package / "conf").is_dir() else package.parents[1]


def load_settings(
    overrides: Sequence[str], *, config_dir: Path | None = None
) -> tuple[Settings, list[str]]:
    """Compose, check and build the settings.

    Args:
        overrides: In Hydra's grammar; values that it can't read are quoted first.
        config_dir: The user's own folder of config groups and experiments.

    Returns:
        The settings, and notices for the user (old names that were mapped).

    Raises:
        ConfigError: anything wrong with groups, keys, types or ranges.
    """
    content, ready = _compose(overrides, config_dir=config_dir)
    for part, kind in _PARTS.items():
        _refuse_unknown(part, content[part], {f.name for f in dataclasses.fields(kind)})
    _refuse_unknown("", content, {*_PARTS, *_SCALARS})
    settings = _build(Settings, content)
    settings = dataclasses.replace(
        settings, model=_absolute_model(settings.model), data=_absolute_data(settings.data)
    )
    _check_search(settings.search)
    _check_sampler(settings)
    _check_confirm(settings.confirm)
    _refuse_mixed_precisions(settings.space)
    _refuse_searched_judges(settings.space)
    _refuse_other_dev_sets(settings.space)
    _refuse_fixed_and_searched(settings.space, ready.keys)
    checked(settings.recipe(seed=0))
    for params in (*settings.space.corners(), *settings.first_points()):
        settings.expand(params, seed=0)
    return settings, ready.notices


def compose_config(
    overrides: Sequence[str], *, config_dir: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The composed configuration as plain containers, with the name filled in, and notices."""
    content, ready = _compose(overrides, config_dir=config_dir)
    return content, ready.notices


def _compose(overrides: Sequence[str], *, config_dir: Path | None) -> tuple[dict[str, Any], Ready]:
    _register_schema()
    with Places.open(assets(), config_dir) as places:
        valid = [*_dotted(_schema()), *_SCALARS]
        ready = prepare(overrides, places=places, valid_keys=valid)
        plain, notices = _composed(ready.overrides, places)
        _join_dotted_keys(plain["search"]["space"])

        def part(group: str, option: str) -> dict[str, Any]:
            others = [o for o in ready.overrides if not o.startswith(f"{group}=")]
            changed: dict[str, Any] = _composed([*others, f"{group}={quoted(option)}"], places)[0][
                group
            ]
            return changed

        expand_groups(plain["search"]["space"], base=plain, options=places.options, composed=part)
    plain["name"] = plain.get("name") or ready.experiment or "sweep"
    return plain, dataclasses.replace(ready, notices=[*ready.notices, *notices])


def _composed(overrides: Sequence[str], places: Places) -> tuple[dict[str, Any], list[str]]:
    """What Hydra makes of the overrides, under current names, and notices about old ones."""
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(places.primary), version_base="1.3"):
            composed = compose("config", [*overrides, places.search_path])
        content = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _as_config_error(error) from error
    assert isinstance(content, dict)
    plain: dict[str, Any] = {str(key): value for key, value in content.items()}
    return plain, rename_old_keys(plain)


def _join_dotted_keys(space: Any) -> None:
    """`search.space.lora.r=[4,8]` arrives as `{lora: {r: ...}}`: a dimension named `lora.r`."""
    if not isinstance(space, dict):
        raise ConfigError(
            "`search.space` must map names to choices, ranges or values.",
            value=repr(space),
            way_out="on the command line, names such as 한글 stand in quotes: {lora:['넓게']}",
        )
    for part in GROUPS:
        nested = space.get(part)
        if isinstance(nested, dict) and all(f"{part}.{k}" in SEARCHABLE_KEYS for k in nested):
            space |= {f"{part}.{key}": value for key, value in space.pop(part).items()}


def checked(recipe: Recipe) -> Recipe:
    """The recipe with every value of the declared type and in its range.

    Raises:
        ConfigError: names the key, the rule and the value.
    """
    typed = _build(Recipe, dataclasses.asdict(recipe))
    check_ranges(typed)
    return typed


def _build(kind: type[T], content: Mapping[str, Any]) -> T:
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        # Union members appear in the place of an error; they are no keys.
        place = [str(part) for part in first["loc"]]
        keys = [p for p in place if p.isidentifier() and p not in ("str", "int", "float", "bool")]
        raise ConfigError(
            f"`{'.'.join(keys)}` has a wrong type or value: {first['msg']}.",
            value=repr(first["input"]),
        ) from None


def _schema() -> dict[str, Any]:
    parts = {part: dataclasses.asdict(kind()) for part, kind in _PARTS.items()}
    return {**_SCALARS, **parts}


def _register_schema() -> None:
    ConfigStore.instance().store(name="schema", node=_schema())


def _dotted(content: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}.{key}"
        for part, inner in content.items()
        if isinstance(inner, Mapping)
        for key in inner
    ]


def _refuse_unknown(part: str, content: Mapping[str, Any], valid: set[str]) -> None:
    for key in content:
        if key not in valid:
            place = f" under `{part}`" if part else ""
            raise ConfigError(
                f"Every key{place} must be known to the program.",
                value=f"`{part}.{key}`" if part else f"`{key}`",
                way_out=nearest(key, valid),
            )


def _as_config_error(error: Exception) -> ConfigError:
    """The first lines of Hydra's own message: it names the key, and the options that exist."""
    causes = [error, error.__cause__] if error.__cause__ else [error]
    lines = [line.strip() for cause in causes for line in str(cause).splitlines() if line.strip()]
    return ConfigError("The configuration can't be composed.", value="; ".join(lines[:3]))


def _check_search(search: Search) -> None:
    if not search.seeds or len(set(search.seeds)) != len(search.seeds):
        raise ConfigError(
            "`search.seeds` must list at least one seed, each once.", value=list(search.seeds)
        )
    if not 0 <= search.audit <= 1:
        raise ConfigError("`search.audit` must lie in [0, 1].", value=search.audit)
    if search.timeout_min is not None and search.timeout_min <= 0:
        raise ConfigError("`search.timeout_min` must be above 0.", value=search.timeout_min)
    if search.n_trials < 1:
        raise ConfigError("`search.n_trials` must be at least 1.", value=search.n_trials)
    if search.reduction < 2:
        raise ConfigError("`search.reduction` must be at least 2.", value=search.reduction)
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
    if find_spec("cmaes") is None:
        raise ConfigError(
            "`search=cmaes` needs the package `cmaes`.",
            way_out='`pip install "sweep[cmaes]"`, or take `search=gp` or `search=tpe`',
        )


def _check_confirm(confirm: Confirm) -> None:
    if confirm.top < 0 or confirm.seeds < 1 or confirm.share < 0:
        raise ConfigError(
            "`confirm` needs top >= 0, seeds >= 1 and share >= 0.",
            value=f"top {confirm.top}, seeds {confirm.seeds}, share {confirm.share:g}",
            way_out="`confirm=none` confirms nothing",
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


def _refuse_searched_judges(space: Space) -> None:
    """Scores on different pairs can't be compared, and no search may see what judges it."""
    judges = {"data.dev", "data.test", "data.holdout", "data.holdout_seed", "data.on_leak"}
    for dimension in space.dimensions:
        for key in judges & set(dimension.keys):
            raise ConfigError(
                "What a sweep is judged by can't be searched.",
                value=f"`{key}` is searched by `{dimension.name}`",
                way_out=f"set `{key}=...` for the whole sweep",
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


def _absolute_model(model: Model) -> Model:
    """A local folder is resolved against the start folder, once; other names stay."""
    folder = Path(model.path).expanduser()
    return dataclasses.replace(model, path=str(folder.resolve())) if folder.is_dir() else model


def _absolute_data(data: Data) -> Data:
    if data.source != "files":
        return data
    paths: dict[str, Any] = {
        split: str(Path(value).expanduser().resolve())
        for split in ("train", "dev", "test")
        if (value := getattr(data, split))
    }
    return dataclasses.replace(data, **paths)
