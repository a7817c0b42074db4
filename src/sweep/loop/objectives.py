"""What a search is after: dev Pearson, alone or against what a config costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, cast

from sweep.core.errors import ConfigError
from sweep.loop.trial import Outcome

Direction = Literal["max", "min"]
#: Measurements of a run that a search can be after, and which way.
MEASURES: dict[str, Direction] = {
    "pearson": "max",
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

    def of(self, outcomes: Sequence[Outcome]) -> float | None:
        """Mean over the runs that have it."""
        found = [value for o in outcomes if (value := getattr(o, self.name)) is not None]
        return fmean(found) if found else None


PEARSON = Objective("pearson", "max")


def parse_objectives(texts: Sequence[str]) -> tuple[Objective, ...]:
    """`["pearson:max", "lora_params:min"]` as objectives.

    Raises:
        ConfigError: an unknown measurement, the wrong way, one twice, or none of the score.
    """
    objectives = tuple(_parse(text) for text in texts)
    names = [objective.name for objective in objectives]
    if "pearson" not in names or len(set(names)) != len(names):
        raise ConfigError(
            "`search.objectives` must list `pearson:max`, and each objective once.",
            value=list(texts),
            way_out="for example [pearson:max, lora_params:min]",
        )
    return objectives


def value_of(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> Value | None:
    """A trial's value over its scored runs: a number for one objective, else a tuple.

    None where a run has no score, or where an objective was not measured.
    """
    scored = [outcome for outcome in outcomes if outcome.pearson is not None]
    values = [objective.of(scored) for objective in objectives]
    if any(value is None for value in values):
        return None
    return cast(float, values[0]) if len(values) == 1 else tuple(cast(list[float], values))


def _parse(text: str) -> Objective:
    name, _, direction = text.partition(":")
    if MEASURES.get(name) != direction:
        raise ConfigError(
            "`search.objectives` must name measurements and the way they get better.",
            value=f"`{text}`",
            way_out=f"of these: {', '.join(f'{n}:{d}' for n, d in MEASURES.items())}",
        )
    return Objective(name, MEASURES[name])
