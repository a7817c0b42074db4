"""The settings of one sweep: what Hydra's composition is turned into, once, at the door."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from sweep.config.executor_settings import ExecutorSettings
from sweep.config.portfolio import Start, StartWith, start_of
from sweep.core.errors import ConfigError
from sweep.core.files import as_on_disk
from sweep.core.ranges import check_ranges
from sweep.core.recipe import SEARCHABLE_KEYS, Data, Lora, Model, Recipe, Trainer
from sweep.core.task import Task
from sweep.loop.objectives import Objective, parse_objectives
from sweep.loop.rules import RaceRule
from sweep.space.points import point_of
from sweep.space.space import Params, Space, parse_space

T = TypeVar("T")

#: Made once for each dataclass: every config of a search is checked.
_adapter: Callable[[Any], TypeAdapter[Any]] = functools.cache(TypeAdapter)


@dataclass(frozen=True)
class SearchSettings:
    """How configs are chosen."""

    #: `grid` trains every cell; the others draw `n_trials` configs in total.
    sampler: Literal["grid", "random", "qmc", "staged", "tpe", "gp", "cmaes", "nsga2"] = "grid"
    n_trials: int = 20
    #: Minutes of a start after which runs are begun no more, and saved; may change between starts.
    timeout_min: float | None = None
    #: What is sought: `task.metric` (`pearson:max`), alone or with `lora_params:min`,
    #: `peak_memory_mb:min`, `train_seconds:min`. Configs are ranked by it whatever is sought.
    objectives: tuple[str, ...] = ("pearson:max",)
    #: Seeds that a config is trained with, one after the other; its score is their mean.
    seeds: tuple[int, ...] = (0,)
    #: A further seed is trained only while the config may still be the best one: by a t test, or
    #: by `wilcoxon`, which pairs the scores by seed and needs four seeds to rule a config out.
    race: RaceRule = True
    #: Seed of the sampler, not of the training.
    sampler_seed: int = 0
    #: Ends runs early whose dev scores fall behind, at their evaluations. `halving` looks at all
    #: configs at once and so needs a sampler that does not learn; the others judge as they come.
    pruner: Literal["none", "median", "percentile", "halving", "asha", "hyperband"] = "none"
    #: Of `halving` and `asha`: the best 1 in so many goes on.
    reduction: int = 3
    #: Of `halving` and `asha`: evaluations that every config has before any is cut.
    grace: int = 1
    #: Share of the runs to be pruned that is trained on all the same, to see what pruning costs.
    audit: float = 0.1
    #: Where a sampler has used its space up before `n_trials`: `stop`, or `seeds`, which trains
    #: the best configs with fresh seeds for what is left. It may change between starts.
    when_used_up: Literal["stop", "seeds"] = "stop"
    #: Tried first: dimension to label or number, or dotted key to value; or the `portfolio`.
    start_with: StartWith = ()
    #: Whether a sampler tries the base recipe first: `auto` does where the space holds it.
    baseline: bool | Literal["auto"] = "auto"
    #: Name or dotted key to choices, a range or a constant; see `docs/configuration.md`.
    space: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ConfirmSettings:
    """Training the leaders again, on seeds that the search never used."""

    #: Configs with the best means, beside the baseline; 0 confirms nothing.
    top: int = 3
    #: A searched dimension: the best config of each of its labels, in place of the `top` best.
    each: str | None = None
    #: Fresh seeds of each.
    seeds: int = 5
    #: Runs at most, as a share of the runs of the search; seeds are saved where it is too little.
    share: float = 1.0


@dataclass(frozen=True)
class BaselineSettings:
    """What is scored beside LoRA, to tell what LoRA is worth."""

    #: The cosine of both sentences' vectors from the frozen base: no training.
    cosine: bool = True
    head: bool = True  # the frozen base with a linear head; of classes the majority, too
    #: All of the base trained, as long as the recommended config; `auto`: where that is cheap.
    full: bool | Literal["auto"] = "auto"
    #: Its learning rates: the best on dev counts.
    full_rates: tuple[float, ...] = (2e-5, 4.5e-5, 1e-4)


@dataclass(frozen=True)
class TrackingSettings:
    """Weights & Biases, or MLflow."""

    tracker: Literal["wandb", "mlflow"] = "wandb"
    #: Of wandb. `auto`: online when a key is at hand, else offline. `disabled`, of both: nothing.
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    #: None takes that of `WANDB_PROJECT` and `WANDB_ENTITY`, else `sweep` and wandb's default.
    #: Of MLflow, `project` is the experiment: None takes that of `MLFLOW_EXPERIMENT_NAME`.
    project: str | None = None
    entity: str | None = None
    #: Of MLflow: None takes `MLFLOW_TRACKING_URI`, else `mlflow.db` beside the studies.
    uri: str | None = None
    #: Longest wait for the server at the start and at the end of a run; files have no limit.
    timeout_s: float = 30.0


@dataclass(frozen=True)
class Settings:
    """One sweep, in full."""

    name: str
    model: Model
    data: Data
    lora: Lora
    trainer: Trainer
    search: SearchSettings
    confirm: ConfirmSettings
    baselines: BaselineSettings
    executor: ExecutorSettings
    tracking: TrackingSettings
    task: Task = field(default_factory=Task)
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
        return parse_objectives(self.search.objectives, self.task.measure)

    @property
    def num_configs(self) -> int:
        """Configs of the search: all cells of a grid; what a sampler draws, and no more than the
        space has."""
        is_grid = self.search.sampler == "grid"
        return self.space.num_configs(None if is_grid else self.search.n_trials)

    @property
    def num_spare_runs(self) -> int:
        """What `n_trials` leaves for more seeds where the space has no more configs."""
        if self.search.when_used_up == "stop" or self.search.sampler == "grid":
            return 0
        return (self.search.n_trials - self.num_configs) * len(self.search.seeds)

    def recipe(self, seed: int) -> Recipe:
        """The recipe that the space starts from."""
        return Recipe(self.model, self.data, self.lora, self.trainer, seed, self.task)

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
            return point_of(self.space, self.recipe(seed=0).value_of)
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
        given, baseline = self.start.points, self.baseline
        return [*([] if baseline is None or self.search.sampler == "grid" else [baseline]), *given]

    @property
    def start(self) -> Start:
        """What `search.start_with` comes to in this space."""
        return start_of(self.search.start_with, self.space, self.recipe(seed=0).value_of)

    def configs(self) -> list[tuple[Params, Recipe]]:
        """Cells of a grid, or corners of a space that a sampler draws from; each training once."""
        found: dict[str, tuple[Params, Recipe]] = {}
        for point, recipe in self.points():
            found.setdefault(recipe.config_id, (point, recipe))
        return list(found.values())

    def points(self) -> list[tuple[Params, Recipe]]:
        """The same with those that are the training of another."""
        points = self.space.grid() if self.search.sampler == "grid" else self.space.corners()
        return [(point, self.expand(point, self.search.seeds[0])) for point in points]

    def expand(self, params: Params, seed: int) -> Recipe:
        """The recipe of a point of the space."""
        recipe = checked(self.recipe(seed).with_values(self.space.values(params)))
        return dataclasses.replace(
            recipe, model=absolute_model(recipe.model), data=absolute_data(recipe.data)
        )


def checked(recipe: Recipe) -> Recipe:
    """The recipe with every value of the declared type and in its range.

    Raises:
        ConfigError: names the key, the rule and the value.
    """
    typed = build(Recipe, dataclasses.asdict(recipe))
    check_ranges(typed)
    return typed


def build(kind: type[T], content: Mapping[str, Any]) -> T:
    """A dataclass of plain containers, with every value of the declared type.

    Raises:
        ConfigError: names the key and the value.
    """
    try:
        typed: T = _adapter(kind).validate_python(content)
    except ValidationError as error:
        first, *others = error.errors()
        key = _key_of(first["loc"])
        # A value that fits no member of a union has an error for each.
        said = [first["msg"], *(e["msg"] for e in others if _key_of(e["loc"]) == key)]
        raise ConfigError(
            f"`{key}` has a wrong type or value: {', or: '.join(dict.fromkeys(said))}.",
            value=repr(first["input"]),
            way_out=_in_quotes(key, first["input"]) if first["type"] == "string_type" else "",
        ) from None
    return typed


def _in_quotes(key: str, value: object) -> str:
    """How Hydra, which reads `2024` as a number, is told that it is a text."""
    return "" if value is None else f"as a text it is `{key}=\"'{value}'\"`"


def _key_of(place: Sequence[int | str]) -> str:
    """The dotted key of an error; union members appear in its place, and are no keys."""
    members = ("str", "int", "float", "bool")
    return ".".join(p for p in map(str, place) if p.isidentifier() and p not in members)


def absolute_model(model: Model) -> Model:
    """A local folder is resolved against the start folder, once; other names stay."""
    folder = as_on_disk(Path(model.path).expanduser())
    return dataclasses.replace(model, path=str(folder.resolve())) if folder.is_dir() else model


def absolute_data(data: Data) -> Data:
    if data.source != "files":
        return data
    paths: dict[str, Any] = {
        split: str(Path(value).expanduser().resolve())
        for split in ("train", "dev", "test")
        if (value := getattr(data, split))
    }
    return dataclasses.replace(data, **paths)
