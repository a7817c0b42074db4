"""What a tracker is given, in words that all of them share: flat configs, scores, sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sweep.core.metric import PEARSON, Metric
from sweep.core.words import label_of
from sweep.loop.trial import Evaluation, Outcome, Run, RunState
from sweep.study.baseline_rows import baseline_configs
from sweep.study.baselines import Baselines
from sweep.study.effects_files import table_of_effects, table_of_importances
from sweep.study.rows import BASELINE, table_of_configs
from sweep.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

_SUMMARY = (
    *("reason", "score", "score_last", "best_step", "beside"),
    *("lora_params", "train_seconds", "peak_memory_mb"),
)
_FINISHED = [state.value for state in RunState if state.is_finished()]
#: Names under which every run shows the LoRA settings, searched or not.
_RENAMED = {"lora.r": "r", "lora.lora_alpha": "alpha", "lora.lora_dropout": "dropout"}


def study_tables(study: Study) -> dict[str, pd.DataFrame]:
    """What was derived from the runs, by name; what is not known yet is left out."""
    beside = baseline_configs(study.baselines, study.keys)
    tables = {
        "leaderboard": table_of_configs(study.leaderboard, study.keys, beside=beside),
        "effects": table_of_effects(study.effects.effects),
        "importance": table_of_importances(study.effects.importances),
    }
    return {name: table for name, table in tables.items() if not table.empty}


def baseline_values(found: Baselines | None) -> dict[str, float | None]:
    """`cosine`, `cosine_seconds` and so on."""
    values: dict[str, float | None] = {}
    for score in found.told if found else []:
        values[score.kind] = score.score.value
        values[f"{score.kind}_trained_params"] = score.params
        values[f"{score.kind}_seconds"] = score.seconds
        values[f"{score.kind}_memory_mb"] = score.memory_mb
    return values


@dataclass(frozen=True)
class StudyLog:
    """What the study's own run at a tracker holds.

    Args:
        runs: `table.csv`.
        tables: What was derived from it, such as the leaderboard, by name.
        figures: Plotly figures of the report, with their colours, by name.
        baselines: Dev score of what takes no LoRA, and what it takes, by name.
        metric: That scores are of.
        verdict: Which config to use and how sure that is, in sentences.
    """

    runs: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    metric: str = PEARSON.name
    verdict: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Runs by state, the best score, and what there is without LoRA."""
        own = self.runs[self.runs["kind"] != BASELINE] if "kind" in self.runs else self.runs
        states = own["state"]
        counts = {f"num_{state}": int((states == state).sum()) for state in _FINISHED}
        best = own.loc[states == "complete", self.metric].max()
        # A NaN, when there is no score, is not equal to itself.
        scores = {f"best_{self.metric}": float(best) if best == best else None}
        beside = {f"baseline/{name}": value for name, value in self.baselines.items()}
        return {**counts, **scores, **beside}


def scores_at(evaluation: Evaluation, metric: Metric) -> tuple[int, dict[str, float]]:
    """Step and scores of an evaluation: `dev/pearson` and so on."""
    scores = metric.in_files(asdict(evaluation))
    step = scores.pop("step")
    return step, {f"dev/{name}": value for name, value in scores.items()}


def summary_of(outcome: Outcome, metric: Metric) -> dict[str, Any]:
    """What a run came to."""
    # An Enum would be written by its name.
    found: dict[str, Any] = {key: getattr(outcome, key) for key in _SUMMARY}
    return {**metric.in_files(found), "state": outcome.state.value}


def config_of(run: Run, study: str, keys: Sequence[str]) -> dict[str, Any]:
    """What a run was trained with."""
    return {"study": study, **_flat_config(run, keys)}


def _flat_config(run: Run, keys: Sequence[str]) -> dict[str, Any]:
    """Config without nesting or dots, which wandb's plots of importance can't read."""
    recipe, lora = run.recipe, run.recipe.lora
    shown = (*_RENAMED, "lora.target_modules")
    searched = {_flat_name(key): recipe.value_of(key) for key in keys if key not in shown}
    return {
        **{name: label_of(v) if isinstance(v, tuple) else v for name, v in searched.items()},
        **{name: recipe.value_of(key) for key, name in _RENAMED.items()},
        "targets": lora.targets_label,
        "scaling": lora.scaling,
        "seed": recipe.seed,
        "trial": run.trial,
        "run_id": run.id,
        "config_id": recipe.config_id,
    }


def _flat_name(key: str) -> str:
    """`trainer.learning_rate` is `learning_rate`; `data.path` keeps its part to stay unique."""
    part, _, name = key.partition(".")
    return name if part in ("lora", "trainer") else f"{part}_{name}"
