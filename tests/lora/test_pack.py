"""A pack: gradients stay apart, masks are common, the base comes back as it was lent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoTokenizer

from sweep.core.recipe import Lora, Model, Recipe
from sweep.loop.trial import Run
from sweep.lora.batches import Batch, Collator
from sweep.lora.model import load_tokenizer
from sweep.lora.pack import Base, PackedModel
from sweep.lora.packable import pack_key, why_alone
from sweep.train.keeper import Keeper
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer

TEXTS = ["고양이 책", "cat dog train sea 나무 바다 책", "dog", "아이 선생님 기차"]

loras = st.builds(
    Lora,
    r=st.integers(1, 16),
    lora_alpha=st.integers(1, 64),
    lora_dropout=st.sampled_from([0.0, 0.1, 0.5]),
    target_modules=st.sampled_from(["qv", "attention", "mlp", "all-linear", ("query",)]),
    use_rslora=st.booleans(),
    init_lora_weights=st.sampled_from(["gaussian", False]),
)


def base_of(model: Model) -> Base:
    return Base(model, load_tokenizer(model), device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Base:
    return base_of(Model(path=str(tiny_model)))


@pytest.fixture(scope="module")
def batch(tiny_model: Path) -> Batch:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    return Collator(tokenizer)([{**tokenizer(t), "labels": i / 4} for i, t in enumerate(TEXTS)])


def runs_of(recipe: Recipe, configs: Sequence[Lora]) -> list[Run]:
    """Distinct runs: equal configs would be one run."""
    recipes = [
        replace(recipe, lora=lora, trainer=replace(recipe.trainer, learning_rate=1e-3 * (i + 1)))
        for i, lora in enumerate(configs)
    ]
    return [Run(i, {}, one) for i, one in enumerate(recipes)]


def gradients(pack: PackedModel, run: Run, batch: Batch, *, weights: Tensor) -> dict[str, Tensor]:
    """Of one run, after a backward pass of the weighted sum of losses; names without the run."""
    pack.model.train()
    pack.noise.at_step(3)
    pack.zero_gradients()
    losses = (pack.forward(batch) - batch["labels"]).square().mean(1)
    (losses * weights).sum().backward()
    pack.hand_out_gradients()
    return {
        name.replace(run.id, "RUN"): parameter.grad.clone()
        for name, parameter in pack.run_parameters(run.id).items()
        if parameter.grad is not None
    }


@pytest.mark.long
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_gradients_of_a_run_do_not_depend_on_the_others(
    data: Any, base: Base, batch: Batch, recipe: Recipe
) -> None:
    configs = data.draw(st.lists(loras, min_size=1, max_size=5))
    watched = data.draw(st.integers(0, len(configs) - 1))
    runs = runs_of(recipe, configs)
    # What the others' losses weigh, and whether there are others at all, is not seen.
    others = torch.tensor([data.draw(st.sampled_from([0.0, 1.0, 1e6])) for _ in runs])
    others[watched] = 1
    with PackedModel(base, runs) as pack:
        together = gradients(pack, runs[watched], batch, weights=others)
    with PackedModel(base, [runs[watched]]) as pack:
        alone = gradients(pack, runs[watched], batch, weights=torch.ones(1))
    assert together.keys() == alone.keys()
    assert any(g.abs().max() > 0 for g in alone.values())
    for name, gradient in alone.items():
        scale = 1 + gradient.abs().max()
        # Large scalings raise rounding to 1e-5; what leaks from a weight of 1e6 is far beyond.
        assert (together[name] - gradient).abs().max() < 1e-4 * scale, name


def test_base_comes_back_as_it_was_lent(base: Base, batch: Batch, recipe: Recipe) -> None:
    before = {name: t.clone() for name, t in base.net.state_dict().items()}
    modules = [(path, type(module)) for path, module in base.net.named_modules()]
    configs = [Lora(r=2, target_modules="all-linear"), Lora(r=4), Lora(r=4, use_dora=True)]
    for runs in ([0, 1], [2]):
        with PackedModel(base, [runs_of(recipe, configs)[i] for i in runs]) as pack:
            gradients(pack, pack.runs[0], batch, weights=torch.ones(len(runs)))
    assert [(path, type(module)) for path, module in base.net.named_modules()] == modules
    after = base.net.state_dict()
    assert after.keys() == before.keys()
    # The head is drawn anew for every pack.
    pretrained = [name for name in before if not name.startswith("classifier")]
    assert all(torch.equal(after[name], before[name]) for name in pretrained)


def test_dropping_a_run_leaves_predictions_of_the_others(
    base: Base, batch: Batch, recipe: Recipe
) -> None:
    runs = runs_of(recipe, [Lora(r=2), Lora(r=16, target_modules="all-linear"), Lora(r=4)])
    with PackedModel(base, runs) as pack, torch.no_grad():
        for parameter in pack.model.parameters():
            parameter.data += 0.01
        pack.model.eval()
        before = pack.forward(batch)
        pack.drop(runs[1].id)
        assert torch.allclose(pack.forward(batch), before[[0, 2]], atol=1e-6)
        assert not any(runs[1].id in name for name, _ in pack.model.named_parameters())


@pytest.mark.trains
def test_probe_of_the_longest_batch_changes_nothing(
    base: Base, recipe: Recipe, tmp_path: Path
) -> None:
    found = []
    for probes in (0, 2):
        with PackedModel(base, runs_of(recipe, [Lora(r=2), Lora(r=4, lora_dropout=0.2)])) as pack:
            keepers = {run.id: Keeper(run, tmp_path / f"{probes}" / run.id) for run in pack.runs}
            shared = splits(recipe.model, recipe.data)
            trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=str(tmp_path))
            for _ in range(probes):
                trainer.probe(trainer.longest_rows())
            trainer.train_to_the_end()
            found.append([keeper.best.score for keeper in keepers.values()])
    assert found[0] == pytest.approx(found[1], abs=1e-9)


class Seen(Exception):
    """A batch has come to the pack; it goes no further, having no numbers."""


@pytest.mark.long
@pytest.mark.parametrize("way", ["probe", "evaluate", "train"])
def test_all_parts_of_a_batch_are_on_the_device_of_the_training(
    way: str, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: set[str] = set()

    def look(batch: Batch) -> Tensor:
        layout = batch["layout"]
        assert {"input_ids", "attention_mask", "labels", "num_tokens"} < set(batch)
        parts = [part for part in batch.values() if part is not layout]
        parts += [layout.tokens, layout.first, layout.cells, *layout.masks]
        devices.update(part.device.type for part in parts)
        raise Seen

    # The Trainer moves the base as well: it is lost.
    with PackedModel(base_of(recipe.model), runs_of(recipe, [Lora(r=2)])) as pack:
        keepers = {run.id: Keeper(run, tmp_path / run.id) for run in pack.runs}
        shared = splits(recipe.model, recipe.data)
        trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=str(tmp_path))
        device = torch.device("meta")
        monkeypatch.setattr(type(trainer.args), "device", device)
        # accelerate has a device of its own, and moves what the training sees.
        monkeypatch.setattr(trainer.accelerator.state, "device", device)
        monkeypatch.setattr(pack, "forward", look)
        ways = {
            "probe": lambda: trainer.probe(trainer.longest_rows()),
            "evaluate": trainer.evaluate,
            "train": trainer.train,
        }
        with pytest.raises(Seen):
            ways[way]()
    assert devices == {"meta"}


def test_heaviest_batch_is_one_that_the_training_may_see(
    base: Base, recipe: Recipe, tmp_path: Path
) -> None:
    shared = splits(recipe.model, recipe.data)
    lengths = shared.train.lengths
    with PackedModel(base, runs_of(recipe, [Lora(r=2)])) as pack:
        keepers = {run.id: Keeper(run, tmp_path / run.id) for run in pack.runs}
        trainer = PackTrainer(pack, keepers, shared, lambda event: None, scratch=str(tmp_path))
        size = trainer.args.train_batch_size
        longest, heaviest = trainer.longest_rows(), trainer.heaviest_batch(None)
        assert len(set(longest)) == len(set(heaviest)) == size
        # The heaviest of all batches is no lighter than the mean, and none beats the longest rows.
        assert size * lengths.mean() <= lengths[heaviest].sum() <= lengths[longest].sum()
        assert len(trainer.heaviest_batch(1)) == size


def test_configs_share_a_pack_unless_they_differ_in_what_is_common(recipe: Recipe) -> None:
    own = [
        replace(recipe, lora=replace(recipe.lora, r=16, lora_dropout=0.3, use_rslora=True)),
        replace(recipe, trainer=replace(recipe.trainer, learning_rate=1.0, weight_decay=0.5)),
    ]
    common = [
        replace(recipe, seed=1),
        replace(recipe, data=replace(recipe.data, max_length=16)),
        replace(recipe, trainer=replace(recipe.trainer, per_device_train_batch_size=4)),
        replace(recipe, trainer=replace(recipe.trainer, max_steps=7)),
        replace(recipe, trainer=replace(recipe.trainer, precision="bf16")),
    ]
    assert {pack_key(one) for one in own} == {pack_key(recipe)}
    assert len({pack_key(one) for one in common} | {pack_key(recipe)}) == 6


def test_what_trains_alone_says_why(recipe: Recipe) -> None:
    assert why_alone(recipe) is None
    reasons = [
        why_alone(replace(recipe, lora=replace(recipe.lora, **changes)))  # type: ignore[arg-type]
        for changes in ({"use_dora": True}, {"bias": "all"}, {"init_lora_weights": "mica"})
    ]
    assert reasons == [None, "lora.bias=all", "lora.init_lora_weights=mica"]
