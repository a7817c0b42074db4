"""The verdict in sentences, with numbers and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sweep.stats.verdict import Contender, Verdict, judged

#: Unsteady configs that are named one by one.
_MOST_NAMED = 3
_SHARES = {1 / 2: "half", 1 / 3: "a third", 1 / 4: "a quarter", 1 / 8: "an eighth"}


def in_words(
    verdict: Verdict,
    contenders: Sequence[Contender],
    *,
    interval: tuple[float, float] | None,
    unconfirmed: tuple[int, int] | None = None,
    caveat: str = "",
    metric: str = "Pearson",
) -> Verdict:
    """The verdict with its sentences: which config, against the default, how sure.

    Args:
        contenders: All configs of the study.
        interval: 95 % interval of the best config's score.
        unconfirmed: Of a confirmation that does not count yet: runs done, and runs in all.
        caveat: A sentence on what the configs leave open.
        metric: The word for what the scores are.
    """
    by_id = {c.config_id: c for c in contenders}
    num_judged = len(judged(contenders))
    spoken = [
        _best(verdict, by_id, num_judged, interval, metric),
        _baseline(verdict, by_id),
        _luck(verdict, by_id, num_judged),
        _unsteady(verdict, by_id),
        _steady(verdict, by_id),
        caveat,
        _looks(verdict),
        _unconfirmed(unconfirmed),
    ]
    return replace(verdict, sentences=tuple(sentence for sentence in spoken if sentence))


def _best(
    verdict: Verdict,
    by_id: Mapping[str, Contender],
    num_judged: int,
    interval: tuple[float, float] | None,
    metric: str,
) -> str:
    best, use = by_id[verdict.best], by_id[verdict.recommended]
    score = f"dev {metric} {best.mean:.4f}"
    if interval is None:
        return (
            f"{best.label} has the highest score, {score}; without dev predictions nothing "
            "is known of ties."
        )
    score += f", 95 % interval {interval[0]:.3f} to {interval[1]:.3f}"
    if len(by_id) == 1:
        return f"{best.label} is the only config with a score ({score})."
    if num_judged == 1:
        return f"{best.label} is the only config of {len(by_id)} that was confirmed ({score})."
    if len(verdict.tie_set) == 1:
        rest = "the other config" if num_judged == 2 else f"each of the {num_judged - 1} others"
        return f"{best.label} is best ({score}), ahead of {rest}."
    tied = f"{len(verdict.tie_set)} of {num_judged} configs can't be told apart"
    if use is best:
        is_cheapest = all(best.cost <= by_id[name].cost for name in verdict.tie_set)
        why = "it is the cheapest of them" if is_cheapest else "no cheaper one comes near it alone"
        if not is_cheapest and verdict.unsteady:
            why = "no cheaper one that is steady comes near it alone"
        return f"{best.label} is best ({score}). {tied}; {why}."
    lead = verdict.gives_up
    behind = f"{best.mean - use.mean:.4f}" if lead is None else lead.as_difference
    return (
        f"{use.label} is recommended: dev {metric} {use.mean:.4f}{_at(use, best)}. "
        f"The highest mean, {best.mean:.4f} of {best.label} ({score.partition(', ')[2]}), "
        f"is ahead by {behind}, which may be luck: {tied}."
    )


def _at(use: Contender, best: Contender) -> str:
    """What the cheaper config saves, where it is worth a word."""
    if not use.lora_params or not best.lora_params or use.lora_params >= best.lora_params:
        return ""
    share = use.lora_params / best.lora_params
    near = next((word for x, word in _SHARES.items() if abs(share / x - 1) < 0.04), None)
    return f", at {near or f'{share:.0%}'} of the LoRA parameters"


def _baseline(verdict: Verdict, by_id: Mapping[str, Contender]) -> str:
    versus = verdict.versus_baseline
    if verdict.baseline is None:
        return ""
    default = f"the default ({by_id[verdict.baseline].label})"
    if versus is None:
        return f"Nothing beats {default}." if verdict.beats_baseline is False else ""
    ahead = versus.as_difference
    if verdict.beats_baseline is None:
        return (
            f"Whether anything beats {default} is not known with one seed each: the best is "
            f"{ahead} from it, the luck of the seeds left out."
        )
    if verdict.beats_baseline:
        return f"{by_id[verdict.best].label} beats {default} by {ahead}."
    return f"Nothing beats {default} for sure: the best is {ahead} from it."


def _luck(verdict: Verdict, by_id: Mapping[str, Contender], num_judged: int) -> str:
    """The noise floor, and what choosing the best does to its score."""
    if verdict.dev_sd is None:
        return ""
    best = by_id[verdict.best]
    if verdict.seed_sd is None:
        return (
            f"One seed each: intervals and ties hold the luck of the dev pairs "
            f"(SD {verdict.dev_sd:.4f}), not that of the seed. search.seeds=[0,1,2] resume=extend"
        )
    noise = f"Runs that differ by their seed alone differ by SD {verdict.seed_sd:.4f}"
    if verdict.shrinkage is not None and best.search_mean is not None:
        noise = (
            f"Confirmed on {_seeds(len(best.seeds))} that the search never used: {best.mean:.4f}, "
            f"after {best.search_mean:.4f} in the search. {noise}"
        )
    if verdict.expected_score is None or num_judged == 1:
        return f"{noise}."
    return (
        f"{noise}; on seeds that had no say in choosing it, the best scores "
        f"{verdict.expected_score:.4f}."
    )


def _unsteady(verdict: Verdict, by_id: Mapping[str, Contender]) -> str:
    """Configs whose mean says little."""
    named = [f"{by_id[name].label} is unsteady: {how}" for name, how in verdict.unsteady.items()]
    if not named:
        return ""
    left = len(named) - _MOST_NAMED
    return f"{'; '.join(named[:_MOST_NAMED])}{f'; and {left} more' if left > 0 else ''}."


def _steady(verdict: Verdict, by_id: Mapping[str, Contender]) -> str:
    """A steady config that is a little behind a lucky one."""
    best, use = by_id[verdict.best], by_id[verdict.recommended]
    if verdict.best not in verdict.unsteady or verdict.recommended in verdict.unsteady:
        return ""
    runs, lucky = use.all_scores or use.scores, best.all_scores or best.scores
    return (
        f"{use.label} is steady, {best.mean - use.mean:.4f} behind: the lowest of "
        f"{_seeds(len(runs))} is {min(runs):.4f}, where that of {best.label} is {min(lucky):.4f}."
    )


def _looks(verdict: Verdict) -> str:
    if verdict.looks < 2:
        return ""
    return (
        f"This is look {verdict.looks} at this study, which has grown since the one before: leads "
        "and ties allow for all looks, so that looking again and again makes no winner."
    )


def _unconfirmed(progress: tuple[int, int] | None) -> str:
    if progress is None:
        return ""
    done, runs = progress
    return (
        f"The leaders are not confirmed ({done} of {runs} runs are done): this is the search's "
        "ranking, whose best looks better than it is."
    )


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"
