"""What pruning saved, and what the audit says that it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """A run that has ended, as far as pruning is concerned."""

    config_id: str
    steps: int
    pruned: bool
    #: It was to be pruned and was trained on.
    audited: bool
    #: Steps that it would have had; None where that is not known.
    whole: int | None = None


@dataclass(frozen=True)
class PruningAudit:
    """Counts of runs; `saved` is the share of the steps that pruning made unnecessary.

    It is None where it isn't known of every pruned run how long it would have been.
    `audited_best` are the audited runs whose config ended among the best: what pruning
    would have lost. `pruned_at` counts the pruned runs by the steps they were trained.
    """

    runs: int
    pruned: int
    saved: float | None
    audited: int
    audited_best: int
    pruned_at: Mapping[int, int]


def whole_steps(*, max_steps: int, epochs: float, rungs: Sequence[tuple[int, float]]) -> int | None:
    """Steps that a run has when it is not ended early; None where that can't be told.

    Args:
        max_steps: Of its recipe; 0 or less where it is trained for so many epochs instead.
        rungs: Step and epoch of its evaluations, in order.
    """
    if max_steps > 0:
        return max_steps
    step, epoch = rungs[-1] if rungs else (0, 0.0)
    return max(step, round(step / epoch * epochs)) if epoch > 0 else None


def pruning_audit(ended: Sequence[Ended], best: Collection[str]) -> PruningAudit | None:
    """The audit of a study, or None where no run was pruned.

    Args:
        best: Ids of the configs that are tied with the best, itself among them.
    """
    cut = [run for run in ended if run.pruned]
    if not cut:
        return None
    audited = {run.config_id for run in ended if run.audited}
    return PruningAudit(
        runs=len(ended),
        pruned=len(cut),
        saved=_saved(cut, trained=sum(run.steps for run in ended)),
        audited=sum(run.audited for run in ended),
        audited_best=len(audited & set(best)),
        pruned_at=dict(Counter(run.steps for run in cut)),
    )


def _saved(cut: Sequence[Ended], *, trained: int) -> float | None:
    """Each run is measured by its own length: where epochs are searched, they differ."""
    missing = [run.whole - run.steps for run in cut if run.whole is not None]
    steps = trained + sum(missing)
    return sum(missing) / steps if steps and len(missing) == len(cut) else None
