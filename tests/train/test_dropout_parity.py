"""Dropout in a pack is that of a plain PEFT model: alike in the mean and in the spread.

Masks are drawn in another way than torch's, so no single pass can be compared; many can. One place
at a time: among all others, one that is left out hardly shows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from sweep.core.recipe import Lora, Model, Recipe
from sweep.core.trial import Run
from sweep.train.batches import Batch, Collator
from sweep.train.model import load_base, load_tokenizer, lora_config
from sweep.train.pack import Base, Pack

TEXTS = ["고양이 책", "cat dog train sea 나무 바다 책", "dog", "아이 선생님 기차"]
_DRAWS = 200
_RATE = 0.3
_LAYER_PLACES = ("attention.self.dropout", "attention.output.dropout", "output.dropout")
PLACES = [
    "bert.embeddings.dropout",
    *(f"bert.encoder.layer.{i}.{place}" for i in range(2) for place in _LAYER_PLACES),
    "dropout",
]
#: Stands for the dropout in front of every adapter, which is no module of the base.
_LORA = "lora"


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny model with weights so large that a mask shows."""
    folder = tmp_path_factory.mktemp("large weights")
    torch.manual_seed(0)
    config = BertConfig.from_pretrained(tiny_model, initializer_range=0.2)
    BertModel(config).save_pretrained(folder)
    load_tokenizer(Model(path=str(tiny_model))).save_pretrained(folder)
    return Model(path=str(folder))


def drop_only_at(place: str, net: nn.Module) -> None:
    """Set all rates of the base's own dropouts."""
    places = {
        path: module
        for path, module in net.named_modules()
        if isinstance(module, nn.Dropout) and "lora_dropout" not in path
    }
    assert sorted(places) == sorted(PLACES), "a place that no test looks at"
    for path, module in places.items():
        module.p = _RATE if path == place else 0.0


def sample(logits: Tensor, parameters: list[nn.Parameter], batch: Batch) -> Tensor:
    """Logits and the gradients' norms `[B + parameters]`, after the backward pass of a loss."""
    (logits - batch["labels"]).square().mean().backward()  # type: ignore[no-untyped-call]
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    assert len(norms) == len(parameters)
    return torch.cat([logits.detach(), torch.stack(norms)])


@pytest.mark.parametrize("place", [*PLACES, _LORA])
def test_dropout_is_that_of_a_plain_model_in_mean_and_spread(
    place: str, model: Model, recipe: Recipe
) -> None:
    rate = _RATE if place == _LORA else 0.0
    lora = Lora(r=4, lora_dropout=rate, target_modules="all-linear", init_lora_weights=False)
    run = Run(0, {}, replace(recipe, model=model, lora=lora))
    tokenizer = load_tokenizer(model)
    batch = Collator(tokenizer)([{**tokenizer(t), "labels": i / 4} for i, t in enumerate(TEXTS)])

    torch.manual_seed(1)
    net = load_base(model, tokenizer)[0]
    drop_only_at(place, net)
    plain = get_peft_model(net, lora_config(run.recipe)).train()
    trained = {name: p for name, p in plain.named_parameters() if p.requires_grad}
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = []
    for _ in range(_DRAWS):
        plain.zero_grad()
        expected.append(sample(plain(**inputs).logits.view(-1), list(trained.values()), batch))

    found = []
    base = Base(model, tokenizer, device=torch.device("cpu"), dtype=torch.float32)
    drop_only_at(place, base.net)
    with Pack(base, [run]) as pack:
        own = {n.replace(run.id, "default"): p for n, p in pack.run_parameters(run.id).items()}
        for name, parameter in own.items():
            parameter.data.copy_(trained[name].detach())
        pack.model.train()
        for step in range(_DRAWS):
            pack.noise.at_step(step)
            pack.zero_gradients()
            logits = pack.forward(batch)[0]
            pack.hand_out_gradients()
            found.append(sample(logits, [own[name] for name in trained], batch))

    theirs, ours = torch.stack(expected), torch.stack(found)
    spread = theirs.std(0)
    moves = spread > 0.01 * theirs.abs().mean(0)
    assert moves[: len(TEXTS)].all(), "without masks that matter nothing shows"
    z = (ours.mean(0) - theirs.mean(0)) / ((theirs.var(0) + ours.var(0)) / _DRAWS).sqrt()
    ratio = (ours.std(0) / spread)[moves]
    # A place that is left out gives a z of 12 or more.
    assert z[moves].abs().max() < 4.5
    assert ratio.log().mean().abs() < 0.4
