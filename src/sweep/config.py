"""The configuration: Hydra composes it, this module checks it and turns it into frozen values.

The schema is the dataclasses below and those of `sweep.core.recipe`. Hydra gets their defaults
as the node `schema`, so that every key can be set on the command line; after composition every
key and type is checked again, since YAML files can add keys that Hydra lets through.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from sweep.core.recipe import (
    SEARCHABLE_KEYS,
    Data,
    Lora,
    Model,
    Recipe,
    Trainer,
    check_ranges,
)
from sweep.core.space import Params, Space, parse_space
from sweep.overrides import Places, Ready, nearest, prepare, rename_old_keys

T = TypeVar("T")


@dataclass(frozen=True)
class Search:
    """How configs are chosen."""

    #: `grid` trains every cell; the others draw `n_trials` configs in total.
    sampler: Literal["grid", "random", "qmc", "tpe", "gp"] = "grid"
    n_trials: int = 20
    #: Minutes of a start after which no run is begun and those under way are saved; None is no
    #: limit. It may change between starts.
    timeout_min: float | None = None
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
    #: Name or dotted key to choices or a range; see `docs/configuration.md`.
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

    def recipe(self, seed: int) -> Recipe:
        """The recipe that the space starts from."""
        return Recipe(self.model, self.data, self.lora, self.trainer, seed)

    def expand(self, params: Params, seed: int) -> Recipe:
        """The recipe of a point of the space."""
        return checked(self.recipe(seed).with_values(self.space.values(params)))


#: Samplers whose draws do not depend on scores.
_INDIFFERENT = ("grid", "random", "qmc")

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
    _check_confirm(settings.confirm)
    _refuse_mixed_precisions(settings.space)
    _refuse_searched_judges(settings.space)
    _refuse_fixed_and_searched(settings.space, ready.keys)
    checked(settings.recipe(seed=0))
    for params in settings.space.corners():
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
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(places.primary), version_base="1.3"):
                composed = compose("config", [*ready.overrides, places.search_path])
            content = OmegaConf.to_container(composed, resolve=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise _as_config_error(error) from error
    assert isinstance(content, dict)
    plain: dict[str, Any] = {str(key): value for key, value in content.items()}
    _join_dotted_keys(plain["search"]["space"])
    notices = [*ready.notices, *rename_old_keys(plain)]
    plain["name"] = plain.get("name") or ready.experiment or "sweep"
    return plain, dataclasses.replace(ready, notices=notices)


def _join_dotted_keys(space: dict[str, Any]) -> None:
    """`search.space.lora.r=[4,8]` arrives as `{lora: {r: ...}}`: a dimension named `lora.r`."""
    for part in ("model", "data", "lora", "trainer"):
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


def _check_confirm(confirm: Confirm) -> None:
    if confirm.top < 0 or confirm.seeds < 1 or confirm.share < 0:
        raise ConfigError(
            "`confirm` needs top >= 0, seeds >= 1 and share >= 0.",
            value=f"top {confirm.top}, seeds {confirm.seeds}, share {confirm.share:g}",
            way_out="`confirm=none` confirms nothing",
        )


def _refuse_fixed_and_searched(space: Space, given: Sequence[str]) -> None:
    """A value on the command line for a searched key would be silently without effect."""
    for dimension in space.dimensions:
        for key in set(dimension.keys) & set(given):
            raise ConfigError(
                "A key is either searched or set.",
                value=f"`{key}` is set on the command line and searched by `{dimension.name}`",
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
