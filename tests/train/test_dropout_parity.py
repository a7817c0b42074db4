"""Dropout in a pack is that of a plain PEFT model: alike in the mean and in the spread.

Masks are drawn in another way than torch's, so no single pass can be compared; many can.
"""

from __future__ import annotations

import shutil
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
#: Rates of hidden states, attention weights and LoRA inputs: one kind of dropout at a time.
KINDS = {"hidden": (_RATE, 0.0, 0.0), "attention": (0.0, _RATE, 0.0), "lora": (0.0, 0.0, _RATE)}


def model_with(tiny_model: Path, folder: Path, *, hidden: float, attention: float) -> Model:
    """As the tiny model, with weights so large that a mask shows."""
    shutil.copytree(tiny_model, folder)
    config = BertConfig.from_pretrained(
        tiny_model,
        hidden_dropout_prob=hidden,
        attention_probs_dropout_prob=attention,
        initializer_range=0.2,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return Model(path=str(folder))


def sample(logits: Tensor, parameters: list[nn.Parameter], batch: Batch) -> Tensor:
    """Logits and the gradients' norms `[B + parameters]`, after the backward pass of a loss."""
    (logits - batch["labels"]).square().mean().backward()  # type: ignore[no-untyped-call]
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    assert len(norms) == len(parameters)
    return torch.cat([logits.detach(), torch.stack(norms)])


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_that_of_a_plain_model_in_mean_and_spread(
    kind: str, tiny_model: Path, recipe: Recipe, tmp_path: Path
) -> None:
    hidden, attention, lora_rate = KINDS[kind]
    model = model_with(tiny_model, tmp_path / "model", hidden=hidden, attention=attention)
    lora = Lora(r=4, lora_dropout=lora_rate, target_modules="all-linear", init_lora_weights=False)
    run = Run(0, {}, replace(recipe, model=model, lora=lora))
    tokenizer = load_tokenizer(model)
    batch = Collator(tokenizer)([{**tokenizer(t), "labels": i / 4} for i, t in enumerate(TEXTS)])

    plain = get_peft_model(load_base(model, tokenizer)[0], lora_config(run.recipe)).train()
    trained = {name: p for name, p in plain.named_parameters() if p.requires_grad}
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = []
    for _ in range(_DRAWS):
        plain.zero_grad()
        expected.append(sample(plain(**inputs).logits.view(-1), list(trained.values()), batch))

    found = []
    base = Base(model, tokenizer, device=torch.device("cpu"), dtype=torch.float32)
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
    assert (spread > 0.01 * theirs.abs().mean(0)).all(), "without masks that matter nothing shows"
    z = (ours.mean(0) - theirs.mean(0)) / ((theirs.var(0) + ours.var(0)) / _DRAWS).sqrt()
    # A layer without its dropout, or a mask without its scale, gives a z of 13.
    assert z.abs().max() < 4.5
    assert (ours.std(0) / spread).log().mean().abs() < 0.2
