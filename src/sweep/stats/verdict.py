"""The verdict: which config is best, which can't be told from it, which of them to use."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from sweep.stats.comparison import Comparison
from sweep.stats.interval import Interval
from sweep.stats.steadiness import unsteady_configs


@dataclass(frozen=True)
class Contender:
    """A config with the runs that its place rests on: confirmation runs where there are any.

    `scores` are those of `seeds`. `search_mean` is the mean over the search's runs, None for a
    config that the search did not finish.
    """

    config_id: str
    label: str
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    lora_params: int | None = None
    train_seconds: float | None = None
    search_mean: float | None = None
    confirmed: bool = False
    #: Of a confirmed config also those of the search: for the luck of the seed all of them tell.
    all_seeds: tuple[int, ...] | None = None
    all_scores: tuple[float, ...] | None = None

    @cached_property
    def mean(self) -> float:
        return fmean(self.scores)

    @property
    def cost(self) -> float:
        """LoRA parameters; what is not known counts as expensive.

        Seconds have no say: they are measured, and another start of the same study would
        recommend another config.
        """
        return float("inf") if self.lora_params is None else float(self.lora_params)


@dataclass(frozen=True)
class Verdict:
    """What a study says, also in words.

    Config ids, points of the score, None where something is not known. `beats_baseline` and
    `seed_sd` are not known with one seed a config. `versus_baseline` is the best minus the
    baseline, with the interval that allows for the choice among all. `gives_up` is the best minus
    the recommended config, with its interval; None where that is the best itself. `expected_score`
    is what the best config scores on seeds that did not choose it. `unsteady` are judged configs
    that collapse on some seeds, with how many. `looks` counts the verdicts on the growing study,
    with this one.
    """

    best: str
    recommended: str
    baseline: str | None
    tie_set: tuple[str, ...]
    beats_baseline: bool | None
    versus_baseline: Interval | None
    seed_sd: float | None
    dev_sd: float | None
    confirmed: bool
    shrinkage: float | None
    expected_score: float | None
    gives_up: Interval | None = None
    unsteady: Mapping[str, str] = field(default_factory=dict)
    looks: int = 1
    sentences: tuple[str, ...] = ()


def ranked(contenders: Sequence[Contender]) -> list[Contender]:
    """Confirmed ones first, then those with enough seeds, then by mean."""
    judged = has_enough_seeds(contenders)
    return sorted(contenders, key=lambda c: (not c.confirmed, c.config_id not in judged, -c.mean))


def has_enough_seeds(contenders: Sequence[Contender]) -> set[str]:
    """Ids of the judged configs that can be best: more than half of the most seeds of one.

    A lucky first seed should not lead while the others have three; a failed seed should not cost
    a config its place.
    """
    group = judged(contenders)
    most = max((len(c.seeds) for c in group), default=0)
    return {c.config_id for c in group if 2 * len(c.seeds) > most}


def judged(contenders: Sequence[Contender]) -> list[Contender]:
    """The confirmed configs where there are any, otherwise all."""
    return [c for c in contenders if c.confirmed] or list(contenders)


def judge(
    contenders: Sequence[Contender], comparison: Comparison | None, *, baseline: str | None
) -> Verdict | None:
    """The verdict over all configs of a study, or None before the first is scored.

    Args:
        comparison: Of `judged(ranked(contenders))`, in that order; None without predictions.
        baseline: Id of the config to beat; it is left out where it was not judged.
    """
    order = judged(ranked(contenders))
    if not order:
        return None
    best = order[0]
    base = next((c for c in order if c.config_id == baseline), None)
    unstable = unsteady_among(contenders, widest=comparison.widest if comparison else 2.0)
    unsteady = {c.config_id: unstable[c.config_id] for c in order if c.config_id in unstable}
    use = _recommended(order, comparison, unsteady)
    versus, gives_up = (_lead(order, comparison, behind) for behind in (base, use))
    seed_sd = comparison.seed_sd if comparison else None
    known = base is not None and (base is best or (versus is not None and seed_sd is not None))
    enough = has_enough_seeds(order)
    return Verdict(
        best=best.config_id,
        recommended=use.config_id,
        baseline=base.config_id if base else None,
        tie_set=tuple(c.config_id for c in _tied(order, comparison)),
        beats_baseline=(versus is not None and versus.ci_low > 0) if known else None,
        versus_baseline=versus,
        seed_sd=seed_sd,
        dev_sd=comparison.dev_sd if comparison else None,
        confirmed=best.confirmed,
        shrinkage=_shrinkage(best),
        expected_score=score_on_other_seeds([c for c in order if c.config_id in enough]),
        gives_up=gives_up,
        unsteady=unsteady,
        looks=comparison.looks if comparison else 1,
    )


def unsteady_among(contenders: Sequence[Contender], *, widest: float = 2.0) -> dict[str, str]:
    """Those that collapse on some seeds, by all of their runs: ids, and on how many.

    Args:
        widest: Two scores are no farther apart. Of a metric without ends nobody knows what is much.
    """
    if not math.isfinite(widest):
        return {}
    found = unsteady_configs({c.config_id: c.all_scores or c.scores for c in contenders})
    return {name: unsteady.words for name, unsteady in found.items()}


def _lead(
    order: Sequence[Contender], comparison: Comparison | None, behind: Contender | None
) -> Interval | None:
    """Of the best over another one; None for itself, and without predictions."""
    if comparison is None or behind is None or behind is order[0]:
        return None
    return Interval(*comparison.lead_over(order.index(behind)))


def _tied(order: Sequence[Contender], comparison: Comparison | None) -> list[Contender]:
    """Those that can't be told from the best, itself first."""
    if comparison is None:
        return [order[0]]
    return [c for c, is_tied in zip(order, comparison.tied.tolist(), strict=True) if is_tied]


def _recommended(
    order: Sequence[Contender], comparison: Comparison | None, unsteady: Collection[str]
) -> Contender:
    """The cheapest that is as good as the best by any measure; of equally cheap ones the better.

    With few seeds nothing is told apart from the best, and nothing recommended in its place. An
    unsteady config takes nobody's place, since nearly anything is as good as that for all one
    knows; its own is taken by the best of the steady ones that are tied with it and whose worst
    seed is better.
    """
    if comparison is None:
        return order[0]
    known = has_enough_seeds(order) - set(unsteady)
    if order[0].config_id in unsteady:
        worst = min(order[0].scores)
        tied = [c for c in _tied(order, comparison) if c.config_id in known]
        return next((c for c in tied if min(c.scores) > worst), order[0])
    as_good = zip(order, comparison.near.tolist(), strict=True)
    return min((c for c, near in as_good if near and c.config_id in known), key=lambda c: c.cost)


def score_on_other_seeds(contenders: Sequence[Contender]) -> float | None:
    """Score of the best config on seeds that had no say in choosing it: the best by all other
    seeds is looked up under each seed in turn. None where configs don't share two seeds.

    The highest mean flatters: of equal configs the luckiest leads. Source: cross-validation with
    a choice inside each fold, Varma & Simon, BMC Bioinformatics 7 (2006), 91.
    """
    tables = [dict(zip(c.seeds, c.scores, strict=True)) for c in contenders]
    shared = set.intersection(*map(set, tables)) if tables else set()
    if len(shared) < 2:
        return None
    found = []
    for seed in sorted(shared):
        best = max(tables, key=lambda table: fmean(s for k, s in table.items() if k != seed))
        found.append(best[seed])
    return fmean(found)


def _shrinkage(best: Contender) -> float | None:
    if not best.confirmed or best.search_mean is None:
        return None
    return best.search_mean - best.mean
