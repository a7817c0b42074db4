"""One step of a training, tried before any run is begun: what fails in it would fail in each."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path

import numpy as np
import torch

from sweep.core.errors import ModelError, UserMistake
from sweep.core.recipe import Recipe
from sweep.loop.trial import Run
from sweep.lora.batches import Collator, on_device
from sweep.lora.whole import pack_of
from sweep.train.losses import losses
from sweep.train.runs import base_of
from sweep.train.splits import Splits, splits

#: Tokens that are tried on a CPU, where a whole batch of a large model takes a minute. On a GPU the
#: whole batch is tried: it may not fit.
_TOKENS_ON_CPU = 512
_SMALLER = (
    "set a smaller `trainer.per_device_train_batch_size` or `data.max_length`, or "
    "`trainer.activation_checkpointing=true`"
)


def try_first_step(recipe: Recipe, threads: int) -> None:
    """One forward and one backward pass over the longest pairs; nothing of it is kept.

    Called in a process of its own: some faults break the device for whoever meets them.

    Raises:
        ModelError: it fails, or gives no numbers.
    """
    torch.set_num_threads(threads)
    try:
        predictions = _pass(recipe)
    except UserMistake:
        raise
    except Exception as error:
        raise _failed(recipe, error) from None
    if not torch.isfinite(predictions).all():
        raise ModelError(
            "A model must answer with numbers.",
            value=f"{recipe.model.path} gives {float(predictions.flatten()[0])} before any "
            f"training, in {recipe.trainer.precision}",
            way_out="copy or save its weights again; `trainer.precision=fp32` where numbers grow "
            "too large for 16 bits",
        )


def _pass(recipe: Recipe) -> torch.Tensor:
    """Predictions of the longest dev pair and of the shortest of train, after a step on train."""
    with tempfile.TemporaryDirectory(prefix="sweep-step-") as scratch:
        base = base_of(recipe, scratch=scratch)
    shared = splits(recipe.model, recipe.data, recipe.task.encoder)
    collate, device = Collator(shared.tokenizer), base.device
    order = np.argsort(-shared.train.lengths, kind="stable")
    longest = [shared.train[int(place)] for place in order[: _rows(shared, recipe, device)]]
    others = [shared.dev[int(np.argmax(shared.dev.lengths))], shared.train[int(order[-1])]]
    with pack_of(base, [Run(0, {}, recipe)]) as pack:
        batch = on_device(collate(longest), device)
        pack.model.train()
        pack.noise.at_step(0)
        loss = losses(pack.forward(batch), batch["labels"], recipe.task).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        pack.zero_gradients()
        pack.model.eval()
        with torch.no_grad():
            return pack.forward(on_device(collate(others), device)).cpu()


def _rows(shared: Splits, recipe: Recipe, device: torch.device) -> int:
    size = recipe.trainer.per_device_train_batch_size
    few = max(1, _TOKENS_ON_CPU // int(shared.train.lengths.max()))
    return min(size, few) if device.type == "cpu" else size


def _failed(recipe: Recipe, error: Exception) -> ModelError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = ": ".join([type(error).__name__, *(line[:200] for line in lines[:1])])
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return ModelError("A step must fit into the memory.", value=said, way_out=_SMALLER)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return ModelError(
        "The first step of a training must work: every run would fail at it.",
        value=f"{recipe.model.path}: {said} ({Path(last.filename).name}, line {last.lineno})",
        way_out="take the tokenizer that the model was trained with, or a model of another family",
    )
