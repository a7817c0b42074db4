"""What a training costs, as far as the recipe and the model's outline tell."""

from __future__ import annotations

import functools

from sweep.core.recipe import Lora, Model, Recipe
from sweep.lora.anatomy import outline
from sweep.lora.model import load_config, targets_in, targets_of
from sweep.lora.patterns import layer_ranks
from sweep.lora.quantization import expected_bytes


def relative_memory(recipe: Recipe) -> float:
    """Bytes that one training needs more than another, up to a constant that all of them share.

    Of each token of a batch, an adapted layer keeps its input where dropout made another of it,
    and A's output; of each parameter there are weight, gradient and Adam's two moments. Bases
    differ where quantization is searched.
    """
    trainer, lora = recipe.trainer, recipe.lora
    targets = targets_in(recipe)
    kept = sum(layer.in_features for layer in targets.layers) if lora.lora_dropout > 0 else 0
    ranks = layer_ranks(targets, lora)
    kept += sum(map(min, ranks, (layer.in_features for layer in targets.layers)))
    tokens = trainer.per_device_train_batch_size * _longest_pair(recipe)
    return 4 * (kept * tokens + 4 * targets.lora_params(ranks)) + base_bytes(recipe)


def base_bytes(recipe: Recipe) -> int:
    """That the frozen base takes on its device, head left out; its precision is settled."""
    return _base_bytes(recipe.model, recipe.trainer.precision)


@functools.lru_cache(maxsize=64)
def _base_bytes(model: Model, precision: str) -> int:
    net = outline(load_config(model))
    layers = targets_of(model, Lora(target_modules="all-linear")).layers
    linear = {f"{layer.name}.weight" for layer in layers}
    width = 4 if precision == "fp32" else 2
    return expected_bytes(net, model.quantization, linear, width)


def most_activations(recipe: Recipe) -> float:
    """Bytes that one run's training step keeps for its backward pass, at most.

    Twice what goes into and comes out of every linear layer of the base, in float32, for rows of
    full length: the rest (masks, norms, attention weights) is less than that, by far where rows
    are shorter.
    """
    everything = targets_of(recipe.model, Lora(target_modules="all-linear"))
    features = sum(layer.in_features + layer.out_features for layer in everything.layers)
    tokens = recipe.trainer.per_device_train_batch_size * _longest_pair(recipe)
    return 4.0 * 2 * features * tokens


def _longest_pair(recipe: Recipe) -> int:
    """Tokens of a pair at most; read apart, each sentence may have as many as a whole pair."""
    return recipe.data.max_length * (2 if recipe.task.encoder == "bi" else 1)


def relative_cost(recipe: Recipe) -> float:
    """Operations of one training up to a factor that all runs on one data set share.

    For comparing: expensive runs are started first, and the time of a pack is shared out by it.
    What thin products and masks weigh beside the base's products was measured on a CPU
    (`benchmarks/roofline.py`).
    """
    trainer, lora = recipe.trainer, recipe.lora
    everything = targets_of(recipe.model, Lora(target_modules="all-linear"))
    base = sum(layer.in_features * layer.out_features for layer in everything.layers)
    targets = targets_in(recipe)
    # Products with a few ranks take as long as it takes to read and write what they work on.
    features = sum(layer.in_features + layer.out_features for layer in targets.layers)
    # Masks are drawn, kept and applied twice.
    masks = sum(layer.in_features for layer in targets.layers) if lora.lora_dropout > 0 else 0
    trained = targets.lora_params(layer_ranks(targets, lora))
    a_token = 4 * base + 6 * trained + 400 * features + 700 * masks
    epochs = 1 if trainer.max_steps > 0 else trainer.num_train_epochs
    steps = max(trainer.max_steps, 1)
    rows = trainer.per_device_train_batch_size * trainer.gradient_accumulation_steps
    return a_token * epochs * steps * (rows if trainer.max_steps > 0 else 1)
