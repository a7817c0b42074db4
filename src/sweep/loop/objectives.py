"""What a search is after: the score on dev, alone or against what a config costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, cast

from sweep.core.errors import ConfigError
from sweep.core.metric import PEARSON as PEARSON_METRIC
from sweep.core.metric import Metric
from sweep.loop.trial import Outcome

Direction = Literal["max", "min"]
#: Measurements of a run that a search can be after beside its score, and which way.
COSTS: dict[str, Direction] = {
    "lora_params": "min",
    "peak_memory_mb": "min",
    "train_seconds": "min",
}
#: A trial's value: the mean of each objective over its runs.
Value = float | tuple[float, ...]


@dataclass(frozen=True)
class Objective:
    """A measurement of a run, and which way is better."""

    name: str
    direction: Direction

    @property
    def is_score(self) -> bool:
        """Whether it is the study's metric; what a config costs is not."""
        return self.name not in COSTS

    @property
    def field(self) -> str:
        """The field of an outcome that holds it."""
        return "score" if self.is_score else self.name

    def of(self, outcomes: Sequence[Outcome]) -> float | None:
        """Mean over the runs that have it."""
        found = [value for o in outcomes if (value := getattr(o, self.field)) is not None]
        return fmean(found) if found else None


PEARSON = Objective("pearson", "max")


def parse_objectives(
    texts: Sequence[str], metric: Metric = PEARSON_METRIC
) -> tuple[Objective, ...]:
    """`["pearson:max", "lora_params:min"]` as objectives.

    Args:
        metric: Of the study.

    Raises:
        ConfigError: an unknown measurement, the wrong way, one twice, or none of the score.
    """
    objectives = tuple(_parse(text, {metric.name: "max", **COSTS}) for text in texts)
    names = [objective.name for objective in objectives]
    if metric.name not in names or len(set(names)) != len(names):
        raise ConfigError(
            f"`search.objectives` must list `{metric.objective}`, and each objective once.",
            value=list(texts),
            way_out=f"for example [{metric.objective}, lora_params:min]",
        )
    return objectives


def value_of(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> Value | None:
    """A trial's value over its scored runs: a number for one objective, else a tuple.

    None where a run has no score, or where an objective was not measured.
    """
    scored = [outcome for outcome in outcomes if outcome.score is not None]
    values = [objective.of(scored) for objective in objectives]
    if any(value is None for value in values):
        return None
    return cast(float, values[0]) if len(values) == 1 else tuple(cast(list[float], values))


def _parse(text: str, known: Mapping[str, Direction]) -> Objective:
    name, _, direction = text.partition(":")
    if known.get(name) != direction:
        raise ConfigError(
            "`search.objectives` must name measurements and the way they get better.",
            value=f"`{text}`",
            way_out=f"of these: {', '.join(f'{n}:{d}' for n, d in known.items())}",
        )
    return Objective(name, known[name])
