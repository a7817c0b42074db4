"""Runs: independent of one another, honest when they fail."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from scipy.stats import pearsonr
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from companions import companions
from packs import predictions_of, tiny, train, train_together
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.loop.trial import (
    Evaluated,
    Event,
    Progress,
    RunState,
)

pytestmark = pytest.mark.trains


def test_run_reports_scores_costs_and_keeps_adapter_and_predictions(
    recipe: Recipe, tmp_path: Path
) -> None:
    events: list[Event] = []
    outcome = train(recipe, tmp_path, events)
    assert outcome.state is RunState.COMPLETE
    assert [e.step for e in outcome.evaluations] == [3, 6]
    assert outcome.score == max(e.score for e in outcome.evaluations)
    assert outcome.score_last == outcome.evaluations[-1].score
    assert outcome.lora_params == 2 * 2 * 4 * (32 + 32)
    assert outcome.adapted_modules == 4
    assert outcome.head_params == 33
    assert outcome.peak_memory_mb is None or outcome.peak_memory_mb > 10
    assert (outcome.tokens_per_second or 0) > 0
    assert [e.evaluation.step for e in events if isinstance(e, Evaluated)] == [3, 6]
    steps = [(e.step, e.total_steps) for e in events if isinstance(e, Progress)]
    assert steps[-1] == (6, 6)
    labels = load_split(recipe.data, "dev").labels
    predictions = predictions_of(recipe, tmp_path)
    assert pearsonr(predictions, labels).statistic == pytest.approx(outcome.score, abs=1e-9)


def test_kept_adapter_is_that_of_the_best_evaluation(recipe: Recipe, tmp_path: Path) -> None:
    # A rate that climbs and then wrecks the model: the best step is not the last one.
    wild = replace(
        recipe, trainer=replace(recipe.trainer, learning_rate=0.3, max_steps=12, eval_steps=2)
    )
    outcome = train(wild, tmp_path)
    steps = [e.step for e in outcome.evaluations]
    assert outcome.best_step in steps
    assert outcome.best_step != steps[-1], "the case shows nothing when the last step is best"
    base = AutoModelForSequenceClassification.from_pretrained(
        recipe.model.path, num_labels=1, problem_type="regression"
    )
    model = PeftModel.from_pretrained(base, str(tmp_path / wild.run_id / "adapter")).eval()
    dev = load_split(recipe.data, "dev")
    tokenizer = AutoTokenizer.from_pretrained(recipe.model.path)
    batch = tokenizer(list(dev.text_a), list(dev.text_b), padding=True, return_tensors="pt")
    with torch.no_grad():
        predictions = model(**batch).logits.reshape(-1).numpy()
    assert pearsonr(predictions, dev.labels).statistic == pytest.approx(outcome.score, abs=1e-5)


def test_result_does_not_depend_on_what_ran_before(recipe: Recipe, tmp_path: Path) -> None:
    alone = train(recipe, tmp_path / "a")
    other = replace(recipe, lora=replace(recipe.lora, r=8), seed=7)
    train(other, tmp_path / "b")
    torch.rand(13)
    np.random.rand(5)
    after = train(recipe, tmp_path / "c")
    assert after.score == pytest.approx(alone.score, abs=1e-6)
    first, second = (predictions_of(recipe, tmp_path / n) for n in ("a", "c"))
    assert np.allclose(first, second, atol=1e-6)


def test_other_seed_is_another_result(recipe: Recipe, tmp_path: Path) -> None:
    assert (
        train(recipe, tmp_path / "a").score != train(replace(recipe, seed=1), tmp_path / "b").score
    )


@pytest.mark.parametrize("family", ["bert", "distilbert", "deberta-v2", "modernbert"])
def test_company_and_place_in_a_pack_change_nothing(
    family: str, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    model = tiny(family, tiny_model, tmp_path / "model", dropout=0.2)
    runs = companions(replace(recipe, model=model))
    watched = runs[0]
    packs = {
        "alone": [watched],
        "two": [runs[1], watched],
        "eight": [*runs[1:5], watched, *runs[5:]],
    }
    for name, pack in packs.items():
        train_together(pack, tmp_path / name)
    expected = predictions_of(watched, tmp_path / "alone")
    assert np.ptp(expected) > 1e-2
    for name in ("two", "eight"):
        assert np.allclose(predictions_of(watched, tmp_path / name), expected, atol=1e-4), name


def test_run_that_fails_leaves_its_pack_and_the_others_unchanged(
    recipe: Recipe, tmp_path: Path
) -> None:
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=20, eval_steps=10))
    runs = companions(longer)[:3]
    wild = replace(runs[1], trainer=replace(runs[1].trainer, learning_rate=1e30))
    events: list[Event] = []
    failed = train_together([runs[0], wild, runs[2]], tmp_path / "a", events)[1]
    assert failed.state is RunState.FAILED
    assert "at step 10" in str(failed.reason)
    assert failed.train_seconds is not None
    assert not (tmp_path / "a" / wild.run_id / "adapter").exists()
    train_together([runs[0], runs[2]], tmp_path / "b")
    for one in (runs[0], runs[2]):
        found, expected = (predictions_of(one, tmp_path / name) for name in "ab")
        assert np.allclose(found, expected, atol=1e-5)


def test_dropout_changes_what_is_learned(recipe: Recipe, tmp_path: Path) -> None:
    # Guards the comparison above: a mask that is never applied would pass it.
    rates = [0.0, 0.3]
    outcomes = [
        train(replace(recipe, lora=replace(recipe.lora, lora_dropout=rate)), tmp_path / str(rate))
        for rate in rates
    ]
    assert outcomes[0].score_last != outcomes[1].score_last


def test_epochs_are_evaluated_each(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(
        recipe.trainer, max_steps=-1, num_train_epochs=2, eval_strategy="epoch", eval_steps=None
    )
    outcome = train(replace(recipe, trainer=trainer), tmp_path)
    assert [e.epoch for e in outcome.evaluations] == [1, 2]
    assert outcome.steps == 24


def test_last_step_is_always_evaluated(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(recipe.trainer, max_steps=5, eval_steps=3)
    outcome = train(replace(recipe, trainer=trainer), tmp_path)
    assert [e.step for e in outcome.evaluations] == [3, 5]


def test_pack_that_breaks_half_way_leaves_nothing_to_the_next(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(recipe, tmp_path / "before").score
    with monkeypatch.context() as patched:
        patched.setattr(PeftModel, "add_adapter", raise_out_of_memory)
        with pytest.raises(MemoryError):
            train_together(companions(recipe)[:3], tmp_path / "broken")
    assert train(recipe, tmp_path / "after").score == expected


def raise_out_of_memory(*_: Any, **__: Any) -> None:
    raise MemoryError


def test_diverged_run_fails_with_a_reason(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(recipe.trainer, learning_rate=1e30, max_steps=20, eval_steps=20)
    wild = replace(recipe, trainer=trainer)
    outcome = train(wild, tmp_path)
    assert outcome.state is RunState.FAILED
    assert re.search("diverged|undefined", str(outcome.reason))
    assert not (tmp_path / wild.run_id / "adapter").exists()
