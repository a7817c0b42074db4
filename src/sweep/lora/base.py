"""The frozen base: loaded once per process and lent to one pack after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, set_seed

from sweep.core.recipe import Lora, Model
from sweep.lora.anatomy import is_part_of
from sweep.lora.attention import use_keyed_attention
from sweep.lora.draws import Noise, draws_by_itself, use_keyed_dropout
from sweep.lora.model import Classes, load_base, targets_of
from sweep.lora.quantization import is_small, num_bytes


class Base:
    """A frozen base model with a head that is drawn anew for every run.

    Args:
        dtype: Of the frozen weights. The head is kept in float32.

    Attributes:
        draws_by_itself: Whether the model's code makes random draws of its own, which nobody can
            key; runs on such a base share no pack.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: PreTrainedTokenizerBase,
        *,
        device: torch.device,
        dtype: torch.dtype,
        classes: Classes = None,
    ) -> None:
        self.noise = Noise()
        self.tokenizer = tokenizer
        self.device = device
        #: What adapters with EVA's start began with, of the last packs.
        self.directions: dict[object, Mapping[str, Tensor]] = {}
        self.net, self._missing = load_base(model, tokenizer, device, classes)
        use_keyed_dropout(self.net, self.noise)
        use_keyed_attention(self.net, self.noise)
        self.draws_by_itself = draws_by_itself(self.net, tokenizer)
        self.net.requires_grad_(False)
        nn.Module.to(self.net, device)
        head = targets_of(model, Lora(target_modules="all-linear"), classes=classes).head
        for name, parameter in self.net.named_parameters():
            # Buffers stay: rotary frequencies lose their meaning in 16 bits.
            if not is_part_of(name, head) and not is_small(parameter):
                parameter.data = parameter.data.to(dtype)
        #: That the frozen part takes on its device.
        self.memory_mb = round(num_bytes(self.net.base_model) / 1e6, 1)

    def copied(self) -> Base:
        """A base of its own, for a training that changes more than adapters and heads."""
        own = copy.deepcopy(self)
        for parameter in own.net.parameters():
            # A copy of a parameter forgets that transformers has loaded it.
            parameter._is_hf_initialized = True  # type: ignore[attr-defined]
        return own

    def draw_head(self, seed: int) -> None:
        """Initialise the head as loading the model after `set_seed(seed)` does.

        No adapter may be on the base. torch's generator is left as loading leaves it.
        """
        set_seed(seed)
        # transformers draws nothing for what it has marked as initialised.
        for name in self._missing:
            path, _, _ = name.rpartition(".")
            self.net.get_parameter(name)._is_hf_initialized = False  # type: ignore[attr-defined]
            for module in _around(self.net, path):
                module._is_hf_initialized = False  # type: ignore[assignment]
        self.net.initialize_weights()  # type: ignore[no-untyped-call]


def _around(net: nn.Module, path: str) -> Iterator[nn.Module]:
    """The module at `path` and all that it is part of."""
    while path:
        yield net.get_submodule(path)
        path = path.rpartition(".")[0]
    yield net
