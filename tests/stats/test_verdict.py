"""What a study says: best, ties, recommendation, against the default, in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.stats.comparison import Comparison, Covariance
from sweep.stats.statistics import Sample, compare
from sweep.stats.verdict import (
    Contender,
    Verdict,
    judge,
    judged,
    ranked,
    score_on_other_seeds,
)
from sweep.stats.verdict_words import in_words

LABELS = np.random.default_rng(10).uniform(0, 5, size=400)
SHARED = np.random.default_rng(11).normal(size=400)


def sample(noise: float, seeds: tuple[int, ...], draw: int) -> Sample:
    rng = np.random.default_rng([13, draw])
    own = rng.normal(scale=0.1, size=(len(seeds), len(LABELS)))
    return Sample(seeds, LABELS + noise * SHARED + own)


def contender(name: str, found: Sample, *, params: int = 1000, **changes: object) -> Contender:
    scores = tuple(float(np.corrcoef(run, LABELS)[0, 1]) for run in found.predictions)
    values = {"lora_params": params, "train_seconds": 10.0, **changes}
    return Contender(name, f"label {name}", found.seeds, scores, **values)  # type: ignore[arg-type]


def study(
    noises: dict[str, float],
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    baseline: str | None = None,
    params: dict[str, int] | None = None,
    **changes: object,
) -> Verdict:
    """The verdict over configs whose predictions are that noisy."""
    samples = {name: sample(noise, seeds, i) for i, (name, noise) in enumerate(noises.items())}
    configs = [
        contender(name, found, params=(params or {}).get(name, 1000), **changes)
        for name, found in samples.items()
    ]
    order = judged(ranked(configs))
    comparison = compare([samples[c.config_id] for c in order], LABELS)
    verdict = judge(configs, comparison, baseline=baseline)
    assert verdict is not None
    low, high = comparison.intervals()[0]
    return in_words(verdict, configs, interval=(low, high))


EQUAL = {"a": 1.0, "b": 1.0, "c": 1.0}


def test_clear_winner_beats_the_default_by_an_interval_above_zero() -> None:
    verdict = study({"good": 0.8, "base": 1.2, "bad": 2.0}, baseline="base")
    assert (verdict.best, verdict.recommended, verdict.tie_set) == ("good", "good", ("good",))
    assert verdict.beats_baseline is True
    assert verdict.versus_baseline is not None
    assert 0 < verdict.versus_baseline.ci_low < verdict.versus_baseline.value
    text = " ".join(verdict.sentences)
    assert "label good is best" in text
    assert "ahead of each of the 2 others" in text
    assert "beats the default (label base) by +" in text


def test_cheapest_of_the_tied_is_recommended_with_what_it_saves() -> None:
    verdict = study(EQUAL | {"bad": 3.0}, params={"a": 4000, "b": 4000, "c": 4000, "bad": 10})
    assert set(verdict.tie_set) == {"a", "b", "c"}
    cheap = next(name for name in verdict.tie_set if name != verdict.best)
    verdict = study(EQUAL | {"bad": 3.0}, params={"a": 4000, "b": 4000, "c": 4000, cheap: 1000})
    assert verdict.recommended == cheap
    assert f"label {cheap} is recommended: dev Pearson" in (verdict.sentences[0])
    assert "at a quarter of the LoRA parameters" in verdict.sentences[0]
    assert verdict.gives_up is not None
    assert verdict.gives_up.ci_low <= 0 <= verdict.gives_up.value
    assert f"is ahead by {verdict.gives_up.as_difference}" in verdict.sentences[0]
    assert "3 of 4 configs can't be told apart" in verdict.sentences[0]


def test_nothing_beats_a_default_that_is_as_good() -> None:
    verdict = study(EQUAL, baseline="a")
    assert verdict.beats_baseline is False
    assert "Nothing beats the default" in " ".join(verdict.sentences)


def test_default_that_leads_needs_no_interval() -> None:
    verdict = study({"base": 0.5, "other": 2.0}, baseline="base")
    assert (verdict.beats_baseline, verdict.versus_baseline) == (False, None)
    assert "Nothing beats the default (label base)." in verdict.sentences


def test_one_seed_each_claims_no_winner_and_says_why() -> None:
    verdict = study({"good": 0.8, "base": 1.2}, seeds=(0,), baseline="base")
    assert verdict.beats_baseline is None
    assert verdict.seed_sd is None
    assert verdict.expected_score is None
    text = " ".join(verdict.sentences)
    assert "not known with one seed each" in text
    assert "search.seeds=[0,1,2] resume=extend" in text


def test_default_that_was_not_trained_is_not_spoken_of() -> None:
    verdict = study(EQUAL, baseline="elsewhere")
    assert (verdict.baseline, verdict.beats_baseline) == (None, None)
    assert "default" not in " ".join(verdict.sentences)


def test_confirmed_config_tells_what_the_search_promised() -> None:
    verdict = study(EQUAL, seeds=(10, 11), search_mean=0.99, confirmed=True)
    assert verdict.confirmed
    assert verdict.shrinkage == pytest.approx(0.99 - study_mean(EQUAL, verdict.best, (10, 11)))
    assert "Confirmed on 2 seeds that the search never used" in " ".join(verdict.sentences)


def study_mean(noises: dict[str, float], name: str, seeds: tuple[int, ...]) -> float:
    found = sample(noises[name], seeds, list(noises).index(name))
    return contender(name, found).mean


def test_only_confirmed_configs_are_judged_where_there_are_any() -> None:
    lucky = Contender("lucky", "l", (0,), (0.99,))
    solid = Contender("solid", "s", (5,), (0.8,), confirmed=True, search_mean=0.9)
    assert [c.config_id for c in ranked([lucky, solid])] == ["solid", "lucky"]
    verdict = judge([lucky, solid], None, baseline="lucky")
    assert verdict is not None
    assert (verdict.best, verdict.baseline, verdict.tie_set) == ("solid", None, ("solid",))


def test_a_lucky_first_seed_leads_nobody_who_has_three() -> None:
    early = Contender("early", "e", (0,), (0.99,))
    whole = Contender("whole", "w", (0, 1, 2), (0.8, 0.8, 0.8))
    failed_once = Contender("failed once", "f", (0, 1), (0.9, 0.9))
    order = [c.config_id for c in ranked([early, whole, failed_once])]
    assert order == ["failed once", "whole", "early"]


def test_without_predictions_the_best_is_named_and_nothing_is_claimed() -> None:
    configs = [Contender("a", "A", (0,), (0.9,)), Contender("b", "B", (0,), (0.8,))]
    verdict = judge(configs, None, baseline="b")
    assert verdict is not None
    assert (verdict.best, verdict.tie_set, verdict.beats_baseline) == ("a", ("a",), None)
    assert "nothing is known of ties" in in_words(verdict, configs, interval=None).sentences[0]


def test_study_without_a_score_has_no_verdict() -> None:
    assert judge([], None, baseline=None) is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_score_on_other_seeds_never_flatters(scores: list[list[float]]) -> None:
    """It is a mean over seeds of scores that were not picked for being the highest."""
    configs = [Contender(str(i), "", (0, 1, 2), tuple(row)) for i, row in enumerate(scores)]
    found = score_on_other_seeds(configs)
    assert found is not None
    assert found <= np.mean(np.max(scores, axis=0)) + 1e-12
    assert found >= np.mean(np.min(scores, axis=0)) - 1e-12
    if len(scores) == 1:
        assert found == pytest.approx(np.mean(scores))


def test_score_on_other_seeds_needs_two_seeds_in_common() -> None:
    first = Contender("a", "", (0, 1), (0.9, 0.8))
    assert score_on_other_seeds([first, Contender("b", "", (1, 2), (0.9, 0.8))]) is None
    assert score_on_other_seeds([]) is None


@given(st.permutations(list(EQUAL)), st.integers(1, 3))
@settings(max_examples=6, deadline=None)
def test_verdict_does_not_depend_on_the_order_of_the_configs(
    order: list[str], num_seeds: int
) -> None:
    seeds = tuple(range(num_seeds))
    samples = {name: sample(noise, seeds, i) for i, (name, noise) in enumerate(EQUAL.items())}
    configs = {name: contender(name, found) for name, found in samples.items()}
    found = []
    for names in (list(EQUAL), order):
        listed = [configs[name] for name in names]
        comparison: Comparison = compare(
            [samples[c.config_id] for c in judged(ranked(listed))], LABELS
        )
        found.append(judge(listed, comparison, baseline="b"))
    assert found[0] == found[1]


def test_unknown_cost_counts_as_expensive_and_the_clock_has_no_say() -> None:
    known = Contender("a", "", (0,), (0.5,), lora_params=10, train_seconds=1.0)
    assert known.cost < replace(known, lora_params=None).cost
    assert known.cost == replace(known, train_seconds=99.0).cost


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.8, 1.6), min_size=2, max_size=6), st.sampled_from([(0,), (0, 1)]))
def test_what_is_recommended_is_tied_and_not_behind_in_a_pair_of_its_own(
    noises: list[float], seeds: tuple[int, ...]
) -> None:
    samples = [sample(noise, seeds, i) for i, noise in enumerate(sorted(noises))]
    configs = [contender(str(i), found, params=100 - i) for i, found in enumerate(samples)]
    order = judged(ranked(configs))
    ranking = [samples[int(c.config_id)] for c in order]
    comparison = compare(ranking, LABELS)
    verdict = judge(configs, comparison, baseline=None)
    assert verdict is not None
    assert verdict.recommended in verdict.tie_set
    place = [c.config_id for c in order].index(verdict.recommended)
    gaps = comparison.deviations[:, 0] - comparison.deviations[:, place]
    ahead = comparison.means[0] - comparison.means[place]
    assert ahead <= np.quantile(gaps, 0.975) + 1e-9


def test_config_far_behind_is_not_recommended_because_little_is_known() -> None:
    """Ties allow for all that were searched; a replacement for the best has to stand a look at
    the two alone."""
    rng = np.random.default_rng(5)
    comparison = Comparison(
        means=np.array([0.86, 0.85, 0.79]),
        deviations=rng.normal(scale=0.02, size=(2000, 3)),
        covariance=Covariance(np.eye(3) * 0.02, np.zeros(3)),
        seed_sd=0.02,
        num_rivals=24,
    )
    configs = [
        Contender(name, name, (1, 2), (mean, mean), lora_params=params)
        for name, mean, params in (("best", 0.86, 4000), ("near", 0.85, 2000), ("far", 0.79, 500))
    ]
    verdict = judge(configs, comparison, baseline=None)
    assert verdict is not None
    assert "far" in verdict.tie_set
    assert verdict.recommended == "near"


def two_of(means: tuple[float, float], seeds: tuple[tuple[int, ...], tuple[int, ...]]) -> Verdict:
    """`best`, dear, and `cheap`, tied with it; in words."""
    spread = 0.02
    comparison = Comparison(
        means=np.array(means),
        deviations=np.random.default_rng(5).normal(scale=spread, size=(2000, 2)),
        covariance=Covariance(np.eye(2) * spread, np.zeros(2)),
        seed_sd=spread,
        num_rivals=24,
    )
    configs = [
        Contender(name, name, known, (mean,) * len(known), lora_params=params)
        for name, mean, known, params in zip(
            ("best", "cheap"), means, seeds, (4000, 500), strict=True
        )
    ]
    found = judge(configs, comparison, baseline=None)
    assert found is not None
    return in_words(found, configs, interval=(0.8, 0.9))


def test_best_is_called_cheapest_only_where_it_is() -> None:
    far = two_of((0.86, 0.79), seeds=((1, 2), (1, 2)))
    assert (far.recommended, far.tie_set) == ("best", ("best", "cheap"))
    assert "2 of 2 configs can't be told apart; no cheaper one comes near" in far.sentences[0]
    near = two_of((0.86, 0.855), seeds=((1, 2), (1, 2)))
    assert near.recommended == "cheap"


def test_config_with_few_seeds_counts_as_tied_and_is_not_recommended() -> None:
    verdict = two_of((0.86, 0.855), seeds=((1, 2, 3), (1,)))
    assert verdict.tie_set == ("best", "cheap")
    assert verdict.recommended == "best"
    assert "2 of 2 configs can't be told apart" in verdict.sentences[0]


def test_one_confirmed_config_of_many_is_not_called_the_only_one() -> None:
    configs = [
        Contender("led", "the leader", (5, 6), (0.8, 0.8), confirmed=True, search_mean=0.82),
        Contender("other", "another", (0,), (0.79,)),
    ]
    verdict = judge(configs, None, baseline=None)
    assert verdict is not None
    said = in_words(verdict, configs, interval=(0.7, 0.9)).sentences[0]
    assert "the only config of 2 that was confirmed" in said
