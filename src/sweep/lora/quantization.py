"""A frozen base whose linear layers are kept in few bits, and made dense where they multiply.

bitsandbytes and torchao keep the weights, transformers puts them in while it loads. The products
are ours: a layer is made dense once in a forward and once in a backward pass, for all runs of a
pack, and nothing dense outlives the product. Both packages' own forward keep to one run's rows, and
bitsandbytes' lays the weights out anew on some CPUs, for inference alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from sweep.core.errors import ModelError
from sweep.core.optional import trouble_with

#: What keeps the weights, by `model.quantization`.
PACKAGES = {"nf4": "bitsandbytes", "int8": "torchao"}

#: A layer's dense weight `[out, in]` in the type that is asked for.
FrozenWeight = Callable[[torch.dtype], Tensor]


def check_quantization(kind: str) -> None:
    """Refuse a kind whose package is not there.

    Raises:
        ModelError: it is missing, or broken.
    """
    package = PACKAGES.get(kind)
    trouble = trouble_with(package) if package else None
    if trouble is not None:
        raise ModelError(
            f"`model.quantization={kind}` needs the package `{package}`.",
            value=f"{package} {trouble}",
            way_out=f'`pip install "sweep[{kind}]"`, or set `model.quantization=none`',
        )


def quantizing(kind: str, head: Sequence[str], device: torch.device) -> dict[str, Any]:
    """Options for `from_pretrained` that keep every linear layer but the head's in few bits.

    Raises:
        ModelError: the package for it is missing, or broken.
    """
    check_quantization(kind)
    way = _nf4 if kind == "nf4" else _int8
    return {"quantization_config": way(list(head)), "device_map": {"": device}}


def _nf4(skipped: list[str]) -> Any:
    from transformers import BitsAndBytesConfig

    # Its name is of an older kind: it holds for all.
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=skipped,
    )


def _int8(skipped: list[str]) -> Any:
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=skipped)


def prepare(net: PreTrainedModel, kind: str) -> None:
    """Have a freshly quantized model compute as a pack does, with its word vectors in bf16.

    They are most of what is left in a small model, and rounded less than the layers.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear) and is_small(module.weight):
            module.forward = QuantizedProduct(module)  # type: ignore[method-assign,assignment]
    words: Any = net.get_input_embeddings()
    # Whatever it will be cast to, this one is in the type of the rest.
    usual = next(
        p for p in net.base_model.parameters() if not is_small(p) and p is not words.weight
    )
    words.weight.data = words.weight.data.to(torch.bfloat16)
    words.register_forward_hook(functools.partial(_cast_like, usual))
    # PEFT asks what adapters are put on: of a bi-encoder that is the model without head.
    adapted: Any = net.base_model
    adapted.is_loaded_in_4bit = kind == "nf4"


def _cast_like(usual: Tensor, module: nn.Module, given: Any, vectors: Tensor) -> Tensor:
    return vectors.to(usual.dtype)


class QuantizedProduct:
    """The forward of a quantized layer without adapters; `weight` makes it dense."""

    def __init__(self, layer: nn.Linear) -> None:
        self._layer = layer

    def weight(self, dtype: torch.dtype) -> Tensor:
        """`[out, in]`, made anew at each call."""
        kept: Any = self._layer.weight
        state = getattr(kept, "quant_state", None)
        if state is None:
            dense: Tensor = kept.dequantize()
            return dense.to(dtype)
        return _dequantize_4bit()(kept, state).to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return frozen_product(x, self.weight, self._layer.bias)


@functools.cache
def _dequantize_4bit() -> Callable[..., Tensor]:
    from bitsandbytes.functional import dequantize_4bit

    # Untyped where it is installed, unknown where it is not.
    dequantize: Callable[..., Tensor] = dequantize_4bit
    return dequantize


class _Product(torch.autograd.Function):
    """`x Wᵀ + b` with a weight that is made dense for it, and again for its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: FrozenWeight, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return nn.functional.linear(x, weight(x.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        own = grad.flatten(0, -2).sum(0) if ctx.needs_input_grad[2] else None
        through = grad @ ctx.weight(grad.dtype) if ctx.needs_input_grad[0] else None
        return through, None, own


def frozen_product(x: Tensor, weight: FrozenWeight, bias: Tensor | None) -> Tensor:
    """`x Wᵀ + b`; nothing dense outlives it."""
    out: Tensor = _Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out


def frozen_weight(layer: nn.Linear) -> FrozenWeight:
    """What gives the weight of a frozen layer."""
    quantized = vars(layer).get("forward")
    if isinstance(quantized, QuantizedProduct):
        return quantized.weight
    kept = layer.weight
    return lambda dtype: kept


def is_frozen_linear(layer: nn.Module) -> bool:
    """Whether a layer is the base's own product and nothing else."""
    own = vars(layer).get("forward")
    return isinstance(own, QuantizedProduct) or (own is None and type(layer) is nn.Linear)


def is_small(parameter: Tensor) -> bool:
    """Whether a freshly loaded parameter, float32 otherwise, is kept in fewer bits."""
    # torchao's have a class of their own, and say float32.
    return parameter.dtype is not torch.float32 or type(parameter.data) is not Tensor


#: Bytes a number of a quantized layer: 4 bits and an 8-bit scale for 64 of them, whose own scales
#: are a number for 256; or 8 bits.
_WIDTHS = {"nf4": 0.5 + 1 / 64 + 4 / (64 * 256), "int8": 1.0}


def expected_bytes(outline: PreTrainedModel, kind: str, linear: Collection[str], width: int) -> int:
    """That a base without memory would take, its head left out.

    Args:
        linear: Names of the weights that are quantized.
        width: Bytes of any other number.
    """
    words: Any = outline.get_input_embeddings()
    prefix = f"{outline.base_model_prefix}."
    found = 0.0
    for name, parameter in outline.named_parameters():
        if not name.startswith(prefix):
            continue
        bytes_each = _WIDTHS.get(kind, width) if name in linear else width
        if kind != "none" and parameter is words.weight:
            bytes_each = 2
        found += parameter.numel() * bytes_each
    return round(found)


def num_bytes(net: nn.Module) -> int:
    """That parameters and buffers of a model take, with what belongs to quantized ones."""
    kept = [t for tensor in (*net.parameters(), *net.buffers()) for t in _held(tensor)]
    return sum({t.data_ptr(): t.nbytes for t in kept}.values())


def _held(tensor: Any) -> Iterator[Tensor]:
    """The plain tensors that one is made of."""
    if hasattr(tensor, "__tensor_flatten__"):
        names, _ = tensor.__tensor_flatten__()
        for name in names:
            yield from _held(getattr(tensor, name))
        return
    yield tensor.data
    state = getattr(tensor, "quant_state", None)
    while state is not None:
        yield from (t for t in vars(state).values() if isinstance(t, Tensor))
        state = state.state2
