"""Runs: independent of one another, honest when they fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from scipy.stats import pearsonr
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from packs import adapter_of, predictions_of, presets_of, tiny, train, train_together
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.loop.trial import (
    Evaluated,
    Event,
    Finished,
    Paused,
    Progress,
    Run,
    RunState,
)
from sweep.study.notes import ask_to_stop
from sweep.train.checkpoints import random_states, read_checkpoint, restore_random_states
from sweep.train.keeper import scores
from sweep.train.runs import train_pack


def test_run_reports_scores_costs_and_keeps_adapter_and_predictions(
    recipe: Recipe, tmp_path: Path
) -> None:
    events: list[Event] = []
    outcome = train(recipe, tmp_path, events)
    assert outcome.state is RunState.COMPLETE
    assert [e.step for e in outcome.evaluations] == [3, 6]
    assert outcome.pearson == max(e.pearson for e in outcome.evaluations)
    assert outcome.pearson_last == outcome.evaluations[-1].pearson
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
    assert pearsonr(predictions, labels).statistic == pytest.approx(outcome.pearson, abs=1e-9)


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
    assert pearsonr(predictions, dev.labels).statistic == pytest.approx(outcome.pearson, abs=1e-5)


def test_result_does_not_depend_on_what_ran_before(recipe: Recipe, tmp_path: Path) -> None:
    alone = train(recipe, tmp_path / "a")
    other = replace(recipe, lora=replace(recipe.lora, r=8), seed=7)
    train(other, tmp_path / "b")
    torch.rand(13)
    np.random.rand(5)
    after = train(recipe, tmp_path / "c")
    assert after.pearson == pytest.approx(alone.pearson, abs=1e-6)
    first, second = (predictions_of(recipe, tmp_path / n) for n in ("a", "c"))
    assert np.allclose(first, second, atol=1e-6)


def test_other_seed_is_another_result(recipe: Recipe, tmp_path: Path) -> None:
    assert (
        train(recipe, tmp_path / "a").pearson
        != train(replace(recipe, seed=1), tmp_path / "b").pearson
    )


def companions(recipe: Recipe) -> list[Recipe]:
    """Eight runs with all kinds of dropout on."""
    shapes = [(2, 0.1), (4, 0.0), (8, 0.3), (16, 0.1), (3, 0.5), (4, 0.2), (1, 0.1), (6, 0.0)]
    presets = presets_of(recipe)
    return [
        replace(
            recipe,
            lora=replace(recipe.lora, r=r, lora_dropout=p, target_modules=presets[i % 3]),
            trainer=replace(recipe.trainer, learning_rate=1e-3 * (i + 1)),
        )
        for i, (r, p) in enumerate(shapes)
    ]


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
    assert outcomes[0].pearson_last != outcomes[1].pearson_last


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
    expected = train(recipe, tmp_path / "before").pearson
    with monkeypatch.context() as patched:
        patched.setattr(PeftModel, "add_adapter", raise_out_of_memory)
        with pytest.raises(MemoryError):
            train_together(companions(recipe)[:3], tmp_path / "broken")
    assert train(recipe, tmp_path / "after").pearson == expected


def raise_out_of_memory(*_: Any, **__: Any) -> None:
    raise MemoryError


def test_diverged_run_fails_with_a_reason(recipe: Recipe, tmp_path: Path) -> None:
    trainer = replace(recipe.trainer, learning_rate=1e30, max_steps=20, eval_steps=20)
    wild = replace(recipe, trainer=trainer)
    outcome = train(wild, tmp_path)
    assert outcome.state is RunState.FAILED
    assert re.search("diverged|undefined", str(outcome.reason))
    assert not (tmp_path / wild.run_id / "adapter").exists()


def test_undefined_correlation_is_nan_and_never_zero() -> None:
    labels = np.array([1.0, 2.0, 3.0])
    for predictions in ([2.0, 2.0, 2.0], [1.0, np.nan, 2.0], [1.0, np.inf, 2.0]):
        pearson, spearman = scores(np.array(predictions), labels)
        assert np.isnan(pearson)
        assert np.isnan(spearman)


def test_scores_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        scores(np.zeros((3, 1)), np.zeros(3))


def test_run_that_is_stopped_leaves_its_pack_and_the_others_unchanged(
    recipe: Recipe, tmp_path: Path
) -> None:
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=20, eval_steps=5))
    runs = tuple(Run(i, {}, one) for i, one in enumerate(companions(longer)[:3]))
    for run in runs:
        (tmp_path / "a" / run.id).mkdir(parents=True)
    events: list[Event] = []

    def handle(event: Event) -> None:
        events.append(event)
        if isinstance(event, Evaluated) and event.run_id == runs[1].id:
            ask_to_stop(tmp_path / "a" / event.run_id, "pruned at step 5")

    train_pack(runs, tmp_path / "a", handle)
    stopped = next(e.outcome for e in events if isinstance(e, Finished))
    assert stopped.state is RunState.PRUNED
    assert stopped.reason == "pruned at step 5"
    assert stopped.pearson is None
    assert [e.step for e in stopped.evaluations] == [5]
    assert stopped.steps == 5
    assert not (tmp_path / "a" / runs[1].id / "rung.pt").exists()
    train_together([runs[0].recipe, runs[2].recipe], tmp_path / "b")
    for run in (runs[0], runs[2]):
        found, expected = (predictions_of(run.recipe, tmp_path / name) for name in "ab")
        assert np.allclose(found, expected, atol=1e-5)


class Killed(BaseException):
    """As sudden as a signal: no code of ours may catch it."""


def killed_at(step: int, times: int = 1) -> Callable[[Event], None]:
    """A handler that ends the process, so to speak, once a run has gone beyond `step`."""
    left = [times]

    def handle(event: Event) -> None:
        if isinstance(event, Evaluated) and event.evaluation.step > step and left[0]:
            left[0] -= 1
            raise Killed

    return handle


@pytest.mark.parametrize("epochs", [False, True], ids=["steps", "epochs"])
def test_interrupted_pack_goes_on_from_its_rung_to_the_unbroken_result(
    epochs: bool, recipe: Recipe, tmp_path: Path
) -> None:
    # 12 steps an epoch; evaluations in the middle of epochs and at their ends.
    changes: dict[str, Any] = {"max_steps": 20, "eval_steps": 4}
    if epochs:
        changes = {"max_steps": -1, "num_train_epochs": 3, "eval_strategy": "epoch"}
    longer = replace(recipe, trainer=replace(recipe.trainer, **changes))
    pack = tuple(Run(i, {}, one) for i, one in enumerate(companions(longer)[:3]))
    recipes = [run.recipe for run in pack]
    whole = train_together(recipes, tmp_path / "whole")
    for run in pack:
        (tmp_path / "broken" / run.id).mkdir(parents=True)
    for step in (4, 12):
        with pytest.raises(Killed):
            train_pack(pack, tmp_path / "broken", killed_at(step))
    events: list[Event] = []
    resumed = train_together(recipes, tmp_path / "broken", events)
    steps = [e.step for e in events if isinstance(e, Progress)]
    assert min(steps) > 4, "it started over"
    for one, expected, found in zip(recipes, whole, resumed, strict=True):
        assert [e.step for e in found.evaluations] == [e.step for e in expected.evaluations]
        assert found.pearson == pytest.approx(expected.pearson, abs=1e-6)
        assert found.steps == expected.steps
        assert found.best_step == expected.best_step
        for name, weights in adapter_of(one, tmp_path / "whole").items():
            assert torch.allclose(adapter_of(one, tmp_path / "broken")[name], weights, atol=1e-6)
        assert np.allclose(*(predictions_of(one, tmp_path / f) for f in ("whole", "broken")))
        reported = [e.evaluation for e in events if isinstance(e, Evaluated)]
        assert all(reported.count(evaluation) == 1 for evaluation in found.evaluations)
        assert not (tmp_path / "broken" / one.run_id / "rung.pt").exists()


def test_paused_runs_go_on_in_other_packs_to_the_unbroken_result(
    recipe: Recipe, tmp_path: Path
) -> None:
    longer = replace(recipe, trainer=replace(recipe.trainer, max_steps=20, eval_steps=4))
    pack = tuple(Run(i, {}, one) for i, one in enumerate(companions(longer)[:3]))
    recipes = [run.recipe for run in pack]
    whole = train_together(recipes, tmp_path / "whole")
    for run in pack:
        (tmp_path / "paused" / run.id).mkdir(parents=True)
    events: list[Event] = []

    def go_on(until: int | None, *places: int) -> None:
        runs = tuple(replace(pack[place], until=until) for place in places)
        train_pack(runs, tmp_path / "paused", events.append)

    go_on(1, 0, 1)
    go_on(1, 2)
    # Asked for again after an interruption, it waits where it is.
    go_on(1, 0)
    go_on(3, 2, 0)
    paused = [(e.run_id, e.outcome.steps) for e in events if isinstance(e, Paused)]
    assert paused == [
        *((pack[place].id, 4) for place in (0, 1, 2, 0)),
        *((pack[place].id, 12) for place in (2, 0)),
    ]
    assert all(e.outcome.pearson is None for e in events if isinstance(e, Paused))
    go_on(None, 0, 1, 2)
    outcomes = {e.run_id: e.outcome for e in events if isinstance(e, Finished)}
    for run, expected in zip(pack, whole, strict=True):
        found = outcomes[run.id]
        assert found.state is RunState.COMPLETE
        assert found.steps == expected.steps
        assert [e.step for e in found.evaluations] == [4, 8, 12, 16, 20]
        # Scored in another pack: predictions that hardly differ make rounding show in the score.
        assert found.pearson == pytest.approx(expected.pearson, abs=1e-5)
        for name, weights in adapter_of(run.recipe, tmp_path / "whole").items():
            assert torch.allclose(
                adapter_of(run.recipe, tmp_path / "paused")[name], weights, atol=1e-6
            )


def test_rung_that_can_not_be_gone_on_from_starts_over(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(recipe, tmp_path / "whole").pearson
    run = Run(0, {}, recipe)
    rung = tmp_path / "runs" / run.id / "rung.pt"
    rung.parent.mkdir(parents=True)
    with pytest.raises(Killed):
        train_pack((run,), tmp_path / "runs", killed_at(3))
    whole = rung.read_bytes()
    for content in (b"", whole[: len(whole) // 2]):
        rung.write_bytes(content)
        assert train(recipe, tmp_path / "runs").pearson == pytest.approx(expected, abs=1e-9)
    rung.write_bytes(whole)
    monkeypatch.setattr("sweep.train.checkpoints.version", lambda name: "0.0")
    assert read_checkpoint(rung.parent) is None


@pytest.mark.parametrize("device", [torch.device("cpu"), torch.device("cuda")], ids=str)
def test_generators_of_the_device_draw_on_as_before(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_gpu = torch.Generator()
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: of_gpu.get_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, _: of_gpu.set_state(state))
    states = random_states(device)
    drawn = torch.rand(3), torch.rand(3, generator=of_gpu)
    restore_random_states(states, device)
    again = torch.rand(3), torch.rand(3, generator=of_gpu)
    assert torch.equal(drawn[0], again[0])
    assert torch.equal(drawn[1], again[1]) == (device.type == "cuda")
