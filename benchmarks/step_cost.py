"""What a step of a pack costs: without padding beside with it, and LoRA's relatives beside LoRA.

    python benchmarks/step_cost.py padding
    python benchmarks/step_cost.py methods

A step is forward and backward pass of one batch of 16 generated pairs, in seconds of CPU of one
thread. The ways take turns; ratios are of neighbours in time, so that a busy machine
weighs on both.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from common import summary, write
from pack_scaling import recipe_of, runs_of
from transformers import LlamaConfig, LlamaModel, ModernBertConfig, ModernBertModel

from sweep.config.compose import load_settings
from sweep.core.recipe import Model, Recipe
from sweep.data.pairs import load_split, tokenized
from sweep.lora.batches import Batch, Collator, TokenisedPairs
from sweep.lora.model import load_tokenizer
from sweep.lora.pack import Base, PackedModel

_ROWS = 16
#: Settings of `lora` that make each method.
METHODS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "DoRA": {"use_dora": True},
    "PiSSA": {"init_lora_weights": "pissa"},
}
Stepper = Callable[[Batch], float]


@contextmanager
def stepping(recipe: Recipe, base: Base, runs: int, *, padded: bool = False) -> Iterator[Stepper]:
    """Trains one batch after the other; gives the seconds of CPU of each."""
    off = patch("sweep.lora.pack.without_padding", lambda *_, **__: None)
    with off if padded else nullcontext(), PackedModel(base, runs_of(recipe, runs)) as pack:
        pack.model.train()
        step = 0

        def train(batch: Batch) -> float:
            nonlocal step
            pack.noise.at_step(step)
            step += 1
            begin = time.process_time()
            pack.zero_gradients()
            pack.forward(batch).square().mean().backward()
            pack.hand_out_gradients()
            return time.process_time() - begin

        yield train


def compared(
    ways: Mapping[str, Callable[[], Any]], batches: Sequence[Batch], repeats: int
) -> dict[str, Any]:
    """Seconds of a step in each way, and ratios to the first, batch by batch."""
    raw: dict[str, list[float]] = {name: [] for name in ways}
    # Each way has its pack on the base alone, so that they take turns pack by pack.
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            with way() as train:
                train(batches[0])
                seconds = [train(batch) for batch in batches]
            # The first turn is to get warm.
            raw[name] += seconds if repeat else []
    first = next(iter(raw.values()))
    ratios = {name: [a / b for a, b in zip(raw[name], first, strict=True)] for name in raw}
    return {
        "seconds": {name: summary(values) for name, values in raw.items()},
        "ratio_to_first": {name: summary(values) for name, values in ratios.items()},
    }


def batches_of(recipe: Recipe, count: int, *, alike: bool) -> list[Batch]:
    """Shuffled, as they are trained; or of like lengths, as `group_by_length` makes them."""
    tokenizer = load_tokenizer(recipe.model)
    pairs = TokenisedPairs(tokenized(load_split(recipe.data, "train"), tokenizer, recipe.data))
    rows = [pairs[i] for i in range(count * _ROWS)]
    if alike:
        rows.sort(key=lambda row: len(row["input_ids"]))
    collate = Collator(tokenizer)
    return [collate(rows[i : i + _ROWS]) for i in range(0, len(rows), _ROWS)]


@contextmanager
def random_models(layers: int) -> Iterator[dict[str, Model]]:
    """Of 384 features; ModernBERT, and a decoder of Llama's kind with grouped attention."""
    minilm = load_settings([])[0].model
    tokenizer = load_tokenizer(minilm)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 384,
        "num_hidden_layers": layers,
        "num_attention_heads": 6,
        "intermediate_size": 1152,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "modernbert": ModernBertModel(ModernBertConfig(**sizes)),
            "llama": LlamaModel(LlamaConfig(**sizes, num_key_value_heads=2)),
        }
        for name, net in kinds.items():
            net.save_pretrained(Path(folder, name))
            tokenizer.save_pretrained(Path(folder, name))
        yield {name: Model(path=str(Path(folder, name))) for name in kinds}


def based(recipe: Recipe) -> Base:
    tokenizer = load_tokenizer(recipe.model)
    return Base(recipe.model, tokenizer, device=torch.device("cpu"), dtype=torch.float32)


def padding(asked: argparse.Namespace) -> dict[str, Any]:
    """By model, pack and kind of batch: with padding, and without."""
    found = {}
    with random_models(asked.layers) as models:
        for name, model in models.items():
            recipe = recipe_of(model, "all-linear", 1)
            base = based(recipe)
            for alike in (False, True):
                batches = batches_of(recipe, asked.batches, alike=alike)
                real = [b["num_tokens"].item() / b["input_ids"].numel() for b in batches]
                for runs in asked.packs:
                    ways = {
                        kind: partial(stepping, recipe, base, runs, padded=kind == "padded")
                        for kind in ("padded", "without padding")
                    }
                    case = f"{name}, {'like lengths' if alike else 'shuffled'}, pack of {runs}"
                    found[case] = {"share_of_real_tokens": sum(real) / len(real)}
                    found[case] |= compared(ways, batches, asked.repeats)
                    print(case, found[case], flush=True)
    return found


def methods(asked: argparse.Namespace) -> dict[str, Any]:
    """MiniLM, by dropout: a pack of LoRA beside packs of its relatives."""
    found = {}
    recipe = recipe_of(load_settings([])[0].model, "all-linear", 1)
    base = based(recipe)
    batches = batches_of(recipe, asked.batches, alike=False)
    for dropout in (0.0, 0.1):
        for runs in asked.packs:
            ways = {}
            for name, own in METHODS.items():
                lora = replace(recipe.lora, lora_dropout=dropout, **own)
                ways[name] = partial(stepping, replace(recipe, lora=lora), base, runs)
            case = f"dropout {dropout:g}, pack of {runs}"
            found[case] = compared(ways, batches, asked.repeats)
            print(case, found[case], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["padding", "methods"])
    parser.add_argument("--packs", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--layers", type=int, default=6, help="of the random models")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    before = os.getloadavg()
    cases = {"padding": padding, "methods": methods}[asked.what](asked)
    content = {
        "unit": "seconds of CPU of one step of the whole pack, 16 pairs, float32, one thread",
        "load_average": {"before": before, "after": os.getloadavg()},
        "layers": asked.layers if asked.what == "padding" else 6,
        "cases": cases,
    }
    print(write(f"step_cost_{asked.what}", content))


if __name__ == "__main__":
    main()
