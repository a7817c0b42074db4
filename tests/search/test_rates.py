"""The search of full fine-tuning: which rates and seeds it asks for, and when."""

from __future__ import annotations

from sweep.core.recipe import Recipe
from sweep.search.rates import RateSearch
from sweep.study.full_runs import FullPlan

RATE = "trainer.learning_rate"


def search_of(*seeds: int) -> RateSearch:
    return RateSearch(FullPlan(Recipe(), rates=(2e-5, 5e-5, 1e-4), first=0, seeds=seeds))


def asked(search: RateSearch) -> list[tuple[float, int]]:
    """All that it asks for now."""
    found = []
    while (trial := search.ask()) is not None:
        recipe = search.recipe(trial.params, 99)
        assert recipe.tuning == "full"
        found.append((recipe.trainer.learning_rate, recipe.seed))
    return found


def test_best_rate_of_the_first_seed_is_trained_on_the_seeds_of_the_recommended() -> None:
    search = search_of(1, 2)
    assert search.num_trials == 5
    assert asked(search) == [(2e-5, 0), (5e-5, 0), (1e-4, 0)]
    search.tell(0, 0.5)
    search.tell(2, 0.6)
    assert asked(search) == [], "one rate is not known yet"
    search.tell(1, 0.8)
    assert asked(search) == [(5e-5, 1), (5e-5, 2)]
    search.tell(3, 0.9)
    search.tell(4, 0.1)
    assert asked(search) == []


def test_first_seed_is_not_trained_again_where_it_is_among_those_of_the_recommended() -> None:
    search = search_of(0, 1)
    asked(search)
    for number, score in enumerate((0.5, 0.4, 0.3)):
        search.tell(number, score)
    assert asked(search) == [(2e-5, 1)]


def test_rate_that_fails_is_no_choice_and_where_all_fail_nothing_follows() -> None:
    search = search_of(1)
    asked(search)
    search.tell(0, None, "diverged")
    search.tell(1, 0.1)
    search.tell(2, None, "diverged")
    assert asked(search) == [(5e-5, 1)]
    search = search_of(1)
    asked(search)
    for number in range(3):
        search.tell(number, None, "diverged")
    assert asked(search) == []
