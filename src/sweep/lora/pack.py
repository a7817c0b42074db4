"""A pack: the adapters and heads of K runs on one frozen base, computed together.

Every run is a PEFT adapter named by its run id; PEFT creates, names and saves it.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora.layer import LoraLayer
from peft.utils.other import ModulesToSaveWrapper
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import set_seed

from sweep.loop.trial import Run
from sweep.lora.adapting import add_adapters
from sweep.lora.base import Base as Base
from sweep.lora.batched import AdaptedLayer, BatchedLora
from sweep.lora.batched_dora import BatchedDora
from sweep.lora.batched_head import BatchedHead
from sweep.lora.batches import Batch
from sweep.lora.draws import KeyedDropout, Noise
from sweep.lora.flat import FlatBase
from sweep.lora.heads import head_of
from sweep.lora.loading import without_old_names
from sweep.lora.model import targets_in
from sweep.lora.packable import layers_of, why_plain
from sweep.lora.stack import Stack, weight_of
from sweep.lora.starts import BatchedStarted
from sweep.lora.unpadded import UnpaddedEncoder, without_padding


class PackedModel:
    """K runs of one seed on one base; a context manager, which gives the base back as it was.

    Args:
        base: Lent until the end; a run that can't share it gets a copy.
        runs: Of one `pack_key`.
    """

    def __init__(self, base: Base, runs: Sequence[Run]) -> None:
        recipe = runs[0].recipe
        self.alone = why_plain(recipe)
        # Alone, PEFT's own layers compute.
        kind = None if self.alone else layers_of(run.recipe for run in runs)
        checkpointing = recipe.trainer.activation_checkpointing
        self._base = base.copied() if self.alone or checkpointing else base
        self.noise = self._base.noise
        self.noise.reset(recipe.seed, repeats=checkpointing)
        self.runs = list(runs)
        self._head = head_of(recipe, self._base.net)
        self._accepted = set(inspect.signature(self._head.adapted.forward).parameters) - {"labels"}
        self._heads = {n: self._base.net.get_submodule(n) for n in targets_in(recipe).head}
        with without_old_names():
            self.model, starts = add_adapters(
                self._base.net, self._head.adapted, runs, self._draw_head, kind=kind
            )
        self._batched: Callable[..., AdaptedLayer] = BatchedLora
        if kind == "dora":
            self._batched = BatchedDora
        elif kind == "started":
            self._batched = functools.partial(BatchedStarted, starts=starts)
        self._layers: list[AdaptedLayer | BatchedHead] = []
        #: Parameters that no stack holds: PEFT's own forward adds to their gradients.
        self._unstacked: list[nn.Parameter] = []
        # Checkpointing wraps transformers' own encoder, which then does the work.
        self._encoder = None if checkpointing else self._without_padding()
        self._lay_stacks()
        # The Trainer calls both at every step, and both go through hundreds of modules. All of
        # them are in one mode from here on.
        self.model.eval()
        self.model.train = self._train  # type: ignore[method-assign]
        self.model.zero_grad = lambda set_to_none=True: None  # type: ignore[method-assign]

    def __enter__(self) -> PackedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self._release_stacks()
        if self._encoder is not None:
            self._encoder.remove()
        self.model.unload()
        for name, head in self._heads.items():
            self._base.net.set_submodule(name, head)

    def __len__(self) -> int:
        return len(self.runs)

    def forward(self, batch: Batch) -> Tensor:
        """Scores `[K, B]`, or `[K, B, C]` of C classes, in float32 for a batch of B rows."""
        inputs = {name: column for name, column in batch.items() if name in self._accepted}
        if self._encoder is not None:
            self._encoder.layout = batch["layout"]
        if len(self) > 1 and not (self._encoder and self._encoder.shared_embeddings):
            inputs = {name: column.repeat(len(self), 1) for name, column in inputs.items()}
        return self._head.scores(self._head.adapted(**inputs), batch, runs=len(self))

    def run_parameters(self, run_id: str) -> dict[str, nn.Parameter]:
        """What a run trains, by name: its adapter and its head."""
        parameters = self.model.named_parameters()
        if self.alone:
            return {name: p for name, p in parameters if p.requires_grad}
        return {name: p for name, p in parameters if run_id in name.split(".")}

    def zero_gradients(self) -> None:
        """Clear what the next backward pass adds to; `model.zero_grad` does nothing."""
        stacked = [stack.gradient for stack in self._stacks()]
        if stacked:
            torch._foreach_zero_(stacked)
        for parameter in self._unstacked:
            parameter.grad = None

    def hand_out_gradients(self) -> None:
        """Give every parameter its part of the stacked gradients."""
        for stack in self._stacks():
            stack.hand_out_gradients()

    def drop(self, run_id: str) -> None:
        """Take a run out; its memory is freed, the others go on as they were."""
        self._release_stacks()
        self.runs = [run for run in self.runs if run.id != run_id]
        others = [name for name in self.model.peft_config if name != run_id]
        if others:
            self.model.set_adapter(others[0])
            self.model.delete_adapter(run_id)
            self._lay_stacks()

    def save(self, run_id: str, folder: Path) -> None:
        """Write a run's adapter and head as PEFT does; `folder` exists."""
        state = get_peft_model_state_dict(
            self.model, adapter_name=run_id, save_embedding_layers=False
        )
        # Copies: a parameter is a view of its stack.
        tensors = {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config = copy.copy(self.model.peft_config[run_id])
        config.inference_mode = True
        config.save_pretrained(str(folder))

    def load(self, run_id: str, folder: Path) -> None:
        """Take over an adapter and a head that `save` has written."""
        state = load_file(folder / "adapter_model.safetensors")
        with torch.no_grad():
            set_peft_model_state_dict(self.model, state, adapter_name=run_id)

    def begin_with(self, run_id: str, directions: Mapping[str, Tensor]) -> None:
        """Give A of each layer, by its path in what is adapted, these numbers `[r, in]`."""
        with torch.no_grad():
            for path, numbers in directions.items():
                layer = self._head.adapted.get_submodule(path)
                assert isinstance(layer, LoraLayer)
                weight_of(layer.lora_A[run_id]).copy_(numbers)

    def count_lora_params(self, run_id: str) -> int:
        """Trainable numbers in a run's adapters, without its head."""
        parameters = self.run_parameters(run_id)
        return sum(p.numel() for name, p in parameters.items() if "lora_" in name)

    def _without_padding(self) -> UnpaddedEncoder | FlatBase | None:
        names = (name for run in self.runs for name in targets_in(run.recipe).names)
        return without_padding(
            self._base.net,
            self._base.tokenizer,
            self.noise,
            shared_embeddings=not any(map(_in_front, names)),
            first_only=self._head.first_only,
        )

    def _draw_head(self, seed: int) -> None:
        if self._heads:
            self._base.draw_head(seed)
        else:
            set_seed(seed)

    def _lay_stacks(self) -> None:
        names = [run.id for run in self.runs]
        self.noise.runs = len(names)
        # PEFT lets the active adapter train; here all are active.
        for name in names:
            for parameter in self.run_parameters(name).values():
                parameter.requires_grad_(True)
        self._layers = []
        for path, module in list(self._base.net.named_modules()):
            if isinstance(module, ModulesToSaveWrapper) and path in self._heads:
                self._layers.append(BatchedHead(module, names, self.noise))
            elif isinstance(module, LoraLayer) and self.alone:
                _use_keyed_lora_dropout(module, self.noise, path)
            elif isinstance(module, LoraLayer) and module.lora_A:
                self._layers.append(self._batched(module, names, self.noise, path))
        stacked = {id(p) for stack in self._stacks() for p in stack.parameters}
        trained = [p for name in names for p in self.run_parameters(name).values()]
        self._unstacked = [p for p in trained if id(p) not in stacked]

    def _train(self, mode: bool = True) -> PeftModel:
        """`nn.Module.train`, where the mode changes."""
        return PeftModel.train(self.model, mode) if self.model.training != mode else self.model

    def _release_stacks(self) -> None:
        for layer in self._layers:
            layer.remove()
        for stack in self._stacks():
            stack.release()
        self._layers = []

    def _stacks(self) -> Iterator[Stack]:
        return (stack for layer in self._layers for stack in layer.stacks)


def _in_front(path: str) -> bool:
    """Whether a layer works on the embeddings, before the encoder sees them."""
    return not {"encoder", "pooler"} & set(path.split("."))


def _use_keyed_lora_dropout(layer: LoraLayer, noise: Noise, path: str) -> None:
    """As `BatchedLora` draws: the place has no run in its name."""
    for name, module in layer.lora_dropout.items():
        if isinstance(module, nn.Dropout):
            layer.lora_dropout[name] = KeyedDropout(module.p, noise, f"{path}.lora_dropout")
