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


@dataclass(frozen=True)
class PruningAudit:
    """Counts of runs; `saved` is the share of the steps that pruning made unnecessary.

    `audited_best` are the audited runs whose config ended among the best: what pruning
    would have lost. `pruned_at` counts the pruned runs by the steps they were trained.
    """

    runs: int
    pruned: int
    saved: float
    audited: int
    audited_best: int
    pruned_at: Mapping[int, int]


def pruning_audit(ended: Sequence[Ended], best: Collection[str]) -> PruningAudit | None:
    """The audit of a study, or None where no run was pruned.

    Args:
        best: Ids of the configs that are tied with the best, itself among them.
    """
    cut = [run for run in ended if run.pruned]
    whole = max((run.steps for run in ended), default=0)
    if not cut or not whole:
        return None
    audited = {run.config_id for run in ended if run.audited}
    return PruningAudit(
        runs=len(ended),
        pruned=len(cut),
        saved=sum(whole - run.steps for run in cut) / (whole * len(ended)),
        audited=sum(run.audited for run in ended),
        audited_best=len(audited & set(best)),
        pruned_at=dict(Counter(run.steps for run in cut)),
    )
