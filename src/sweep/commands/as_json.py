"""`--json` of the verbs: what they say, for scripts (docs/json.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.commands.compare import Side, sides_of
from sweep.commands.live import going, going_in_full, seconds_left, workers_at
from sweep.core.recipe import Recipe
from sweep.stats.interval import Interval
from sweep.stats.studies import lead, lead_in_words
from sweep.study.exchange import CrewMember
from sweep.study.lock import driver_of, is_driven
from sweep.study.notes import added_points
from sweep.study.plan import Plan, PlannedConfig, PlannedFull
from sweep.study.reading import missing_is_none, to_json
from sweep.study.rows import RunRow, table_of_configs
from sweep.study.study import Study

if TYPE_CHECKING:
    # They import torch, which most verbs can do without.
    from sweep.export.retrain import Retrained
    from sweep.export.verification import Verified


@dataclass(frozen=True)
class UnderWay:
    """A run that trains: the step of its last evaluation, and its score there."""

    run_id: str
    trial: int | None
    step: int | None
    score: float | None
    tuning: str


@dataclass(frozen=True)
class Status:
    """`status --json`. `driver` is None where none is at work; `workers` are those of `folder`,
    `slurm` and `ray`; `leaderboard` has the columns of `leaderboard.csv`."""

    study: str
    metric: str
    driver: str | None
    runs: Mapping[str, int]
    seconds_left: float | None
    waiting: int
    under_way: tuple[UnderWay, ...]
    workers: tuple[CrewMember, ...]
    leaderboard: tuple[Mapping[str, Any], ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """The config that a study chose; `settings` are its searched keys."""

    study: str
    model: str
    config_id: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    score: Interval
    lora_params: int | None
    train_seconds: float | None


@dataclass(frozen=True)
class Compared:
    """`compare --json`. `difference` is the first minus the second, paired on the dev pairs; it is
    clear where its interval leaves 0 out."""

    metric: str
    studies: tuple[Chosen, Chosen]
    difference: Interval
    is_clear: bool
    verdict: str


@dataclass(frozen=True)
class Judged:
    """`verdict --json`: the figures of `verdict.json`. Before the first score, all but the study
    and its metric is None or empty. `settings` are the searched keys of what is recommended."""

    study: str
    metric: str
    best: str | None = None
    recommended: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    baseline: str | None = None
    tie_set: tuple[str, ...] = ()
    beats_baseline: bool | None = None
    versus_baseline: Interval | None = None
    gives_up: Interval | None = None
    confirmed: bool = False
    expected_score: float | None = None
    unsteady: Mapping[str, str] = field(default_factory=dict)
    looks: int = 0
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class FormRescored:
    """A form of an export beside its adapter, on dev; `difference` is the form minus that."""

    name: str
    score: float
    difference: Interval
    largest: float
    is_safe: bool


@dataclass(frozen=True)
class Rescored:
    """`verify --json`: the score on dev in the sweep and of the exported adapter. `merged` is that
    of a quantized base's adapter on the float base, None elsewhere."""

    metric: str
    measured: float
    reloaded: float
    merged: float | None
    formats: tuple[FormRescored, ...]


@dataclass(frozen=True)
class RetrainedScore:
    """`verify --retrain --json`: the same beside a training from the start."""

    metric: str
    measured: float
    retrained: float
    tolerance: float


def verdict_json(folder: Path) -> str:
    """Which config to use, and how sure that is.

    Raises:
        StudyError: the folder holds no study.
    """
    study = Study.open(folder)
    found, recipes = study.verdict, study.ranking.recipes
    named = None if found is None else recipes.get(found.recommended)
    of_study = Judged(
        study=str(folder),
        metric=study.metric.name,
        settings={} if named is None else {key: named.value_of(key) for key in study.keys},
    )
    own = {} if found is None else {f.name: getattr(found, f.name) for f in fields(found)}
    judged = replace(of_study, **{name: own[name] for name in own if hasattr(of_study, name)})
    return f"{to_json(judged)}\n"


@dataclass(frozen=True)
class Planned:
    """`mode=plan --json`: what `plan.json` holds, before anything is trained."""

    study: str
    workers: int
    runs: int
    seconds: float
    disk_mb: float
    folded_cells: int
    infeasible_cells: int
    configs: tuple[PlannedConfig, ...]
    full: PlannedFull | None


def plan_json(folder: Path, plan: Plan) -> str:
    """What a sweep would train and take.

    Args:
        folder: Of the study that it would become.
    """
    own = {f.name: getattr(plan, f.name) for f in fields(plan)}
    return f"{to_json(Planned(study=str(folder), **own))}\n"


def verified_json(found: Verified) -> str:
    """What `verify` has found."""
    forms = tuple(
        FormRescored(one.name, one.score, one.difference, one.largest, one.is_safe)
        for one in found.formats
    )
    told = Rescored(found.metric, found.measured, found.reloaded, found.merged, forms)
    return f"{to_json(told)}\n"


def retrained_json(found: Retrained) -> str:
    """What `verify --retrain` has found."""
    told = RetrainedScore(found.metric, found.measured, found.retrained, found.tolerance)
    return f"{to_json(told)}\n"


def status_json(folder: Path) -> str:
    """How far a study is.

    Raises:
        StudyError: the folder holds no study.
    """
    study = Study.open(folder)
    driven = is_driven(folder)
    found = Status(
        study=str(folder),
        metric=study.metric.name,
        driver=driver_of(folder) if driven else None,
        runs={state.value: count for state, count in study.num_in_state.items()},
        seconds_left=seconds_left(study) if driven else None,
        waiting=len(added_points(folder)),
        under_way=(
            *(_under_way(row, "lora") for row in going(study)),
            *(_under_way(row, "full") for row in going_in_full(study)),
        ),
        workers=workers_at(study) if driven else (),
        leaderboard=_leaderboard(study),
        sentences=study.verdict.sentences if study.verdict else (),
    )
    return f"{to_json(found)}\n"


def comparison_json(one: Path, other: Path) -> str:
    """Whether the config that one study chose is better than that of the other.

    Raises:
        StudyError: a folder holds no study or no score, or their dev pairs or metrics differ.
    """
    sides = sides_of(one, other)
    chosen = sides[0].chosen, sides[1].chosen
    difference = lead(*chosen)
    found = Compared(
        metric=chosen[0].metric.name,
        studies=(_chosen(sides[0]), _chosen(sides[1])),
        difference=difference,
        is_clear=difference.is_clear,
        verdict=lead_in_words(*chosen),
    )
    return f"{to_json(found)}\n"


def _leaderboard(study: Study) -> tuple[Mapping[str, Any], ...]:
    """Settings are those of the recipes: a table has forgotten which numbers were whole."""
    rows = missing_is_none(table_of_configs(study.leaderboard, study.keys))
    recipes = study.ranking.recipes
    return tuple(
        {**row, **{key: recipes[row["config_id"]].value_of(key) for key in study.keys}}
        if row["config_id"] in recipes
        else row
        for row in rows
    )


def _under_way(row: RunRow, tuning: str) -> UnderWay:
    return UnderWay(row.run_id, row.trial, row.steps, row.score_last, tuning)


def _chosen(side: Side) -> Chosen:
    config = side.config
    recipe: Recipe = side.study.ranking.recipes[config.config_id]
    return Chosen(
        study=str(side.study.folder),
        model=side.model,
        config_id=config.config_id,
        settings={key: recipe.value_of(key) for key in side.study.keys},
        seeds=config.seeds,
        score=side.chosen.score,
        lora_params=config.lora_params,
        train_seconds=config.train_seconds,
    )
