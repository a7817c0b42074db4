"""Who is called unsteady, and in which words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sweep.stats.comparison import Comparison, Covariance
from sweep.stats.steadiness import unsteady_configs
from sweep.stats.verdict import Contender, Verdict, judge
from sweep.stats.verdict_words import in_words

UNSTEADY = (0.595, 0.085, 0.453, 0.831, 0.608, 0.817)
STEADY = (0.812, 0.786, 0.805, 0.809, 0.755, 0.815)


def words(**scores: tuple[float, ...]) -> dict[str, str]:
    return {name: found.words for name, found in unsteady_configs(scores).items()}


def test_config_whose_seeds_fall_apart_is_named_with_how_many() -> None:
    assert words(a=UNSTEADY, b=STEADY) == {"a": "3 of 6 seeds below 0.6"}


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ((0.82, 0.83, 0.81, 0.05, 0.82, 0.83), "1 of 6 seeds below 0.7"),
        ((0.85, 0.83, 0.62), "1 of 3 seeds below 0.8"),
        ((0.80, 0.10), "1 of 2 seeds below 0.5"),
        ((-0.05, 0.45, 0.02, 0.41), "2 of 4 seeds below 0.2"),
    ],
)
def test_round_number_lies_between_the_seeds(scores: tuple[float, ...], said: str) -> None:
    steady = {f"s{i}": tuple(np.array(STEADY) - i / 100) for i in range(4)}
    assert words(odd=scores, **steady) == {"odd": said}


def test_config_that_is_rough_by_itself_needs_no_steady_one_beside_it() -> None:
    assert set(words(a=UNSTEADY)) == {"a"}
    assert set(words(a=UNSTEADY, b=UNSTEADY[::-1])) == {"a", "b"}


def test_one_seed_and_equal_seeds_are_not_unsteady() -> None:
    assert words(a=(0.8,), b=(0.7, 0.7), c=(0.7, 0.7)) == {}
    assert words() == {}


def test_config_is_not_unsteady_because_another_is_steadier_than_matters() -> None:
    assert words(a=(0.8, 0.8, 0.8), b=(0.84, 0.84, 0.86), c=(0.851, 0.852, 0.853)) == {}


def test_configs_that_are_alike_are_seldom_called_unsteady() -> None:
    called = []
    for draw in range(200):
        scores = 0.8 + 0.02 * np.random.default_rng([50, draw]).normal(size=(8, 3))
        called.append(bool(words(**{f"c{i}": tuple(row) for i, row in enumerate(scores)})))
    assert np.mean(called) <= 0.05 + 2.5 * 0.0154


def verdict_of(*contenders: Contender) -> Verdict:
    spread = np.array([c.scores and np.std(c.scores) / np.sqrt(len(c.scores)) for c in contenders])
    comparison = Comparison(
        means=np.array([c.mean for c in contenders]),
        deviations=np.random.default_rng(5).normal(size=(2000, len(contenders))) * spread,
        covariance=Covariance(np.diag(spread), np.zeros(len(contenders))),
        seed_sd=0.1,
    )
    found = judge(contenders, comparison, baseline=None)
    assert found is not None
    return in_words(found, contenders, interval=(0.7, 0.9))


def contender(name: str, scores: tuple[float, ...], params: int = 1000) -> Contender:
    return Contender(name, name, tuple(range(len(scores))), scores, lora_params=params)


LUCKY = (0.86, 0.87, 0.86, 0.70, 0.87, 0.86)


def test_steady_config_behind_a_lucky_unsteady_one_is_recommended_and_said() -> None:
    found = verdict_of(contender("lucky", LUCKY), contender("solid", STEADY, params=4000))
    assert (found.best, found.recommended) == ("lucky", "solid")
    text = " ".join(found.sentences)
    assert "lucky is unsteady: 1 of 6 seeds below 0.8." in text
    behind = np.mean(LUCKY) - np.mean(STEADY)
    said = f"solid is steady, {behind:.4f} behind: the lowest of 6 seeds is 0.7550, where that of "
    assert f"{said}lucky is 0.7000." in text


def test_unsteady_config_takes_nobody_s_place_for_being_cheap() -> None:
    cheap = contender("cheap", UNSTEADY, params=10)
    found = verdict_of(contender("solid", STEADY), cheap)
    assert found.tie_set in (("solid",), ("solid", "cheap"))
    assert found.recommended == "solid"
    wide = replace(cheap, scores=(0.9, 0.2, 0.95, 0.9, 0.92, 0.9))
    found = verdict_of(contender("solid", STEADY), wide)
    assert "cheap" in found.tie_set
    assert found.recommended == "solid"
    assert "no cheaper one that is steady comes near it alone" in found.sentences[0]
