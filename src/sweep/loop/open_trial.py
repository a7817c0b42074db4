"""A trial under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from sweep.loop.objectives import PEARSON, Objective, Value, value_of
from sweep.loop.trial import Outcome, RunState, Trial


@dataclass
class OpenTrial:
    """A trial, what came of its runs, and how it stands with the pruner."""

    trial: Trial
    objectives: tuple[Objective, ...] = (PEARSON,)
    #: By run id, in the order of the seeds; None while the run is under way.
    outcomes: dict[str, Outcome | None] = field(default_factory=dict)
    #: The earlier trial with the same training.
    folded_into: int | None = None
    #: Step at which it was to be pruned.
    cut_at: int | None = None
    #: It is trained on although it was to be pruned.
    audited: bool = False

    @property
    def under_way(self) -> list[str]:
        """Ids of the runs that it waits for."""
        return [run_id for run_id, outcome in self.outcomes.items() if outcome is None]

    @property
    def value(self) -> Value | None:
        """Mean of each objective over the runs that have a score."""
        return value_of([o for o in self.outcomes.values() if o], self.objectives)

    @property
    def is_pruned(self) -> bool:
        states = [o.state for o in self.outcomes.values() if o]
        return self.value is None and RunState.PRUNED in states

    @property
    def reason(self) -> str | None:
        """Why runs have no score, and whose training it shares."""
        reasons = [o.reason for o in self.outcomes.values() if o and o.reason]
        if self.value is None and any(o and o.score is not None for o in self.outcomes.values()):
            reasons.append("an objective was not measured")
        if self.folded_into is not None:
            reasons.append(f"the same training as trial {self.folded_into}")
        return "; ".join(reasons) or None
