"""Random draws keyed by (seed, step, place): the same run sees the same noise in any pack.

A mask depends on the run's seed, the step, the place in the model and the rows of the batch; never
on who shares the pack, on what the process has drawn before, or on where a run was resumed. All
runs of a pack have one seed, hence one mask, which is repeated over the runs: two configs are
compared on common random numbers.
"""

from __future__ import annotations

import functools
import inspect
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Draws are 15-bit integers: a dropout probability is kept to 1 in 32,768.
_LEVELS = 1 << 15
#: The lower 15 bits of each of the four draws in a 64-bit word.
_LOW_BITS = np.uint64(0x7FFF_7FFF_7FFF_7FFF)
_BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}


class Noise:
    """The source of all masks of one pack. Shared, never copied: a deep copy is itself.

    Args:
        seed: The seed of the pack's runs.
        repeats: Whether places are used once in a forward pass and may be used again in the
            backward pass (activation checkpointing), which must see the same mask. Otherwise
            a place that is used several times (ALBERT shares its layers) draws anew each time.
    """

    def __init__(self, seed: int = 0, *, repeats: bool = False) -> None:
        self._uses: dict[str, int] = {}
        self.reset(seed, repeats=repeats)

    def reset(self, seed: int, *, repeats: bool = False) -> None:
        """Start over for another pack."""
        self._seed = seed
        self._repeats = repeats
        self.runs = 1
        self.at_step(0)

    @contextmanager
    def single_run(self) -> Iterator[None]:
        """Inputs are those of one run; the next run will see the same draws."""
        runs, uses = self.runs, dict(self._uses)
        self.runs = 1
        yield
        self.runs, self._uses = runs, uses

    def at_step(self, step: int) -> None:
        """Enter a forward pass; `step` counts micro-batches from the start of the training."""
        self._step = step
        self._uses = {}

    def key(self, place: str) -> list[int]:
        """What the draws at a place depend on."""
        use = 0 if self._repeats else self._uses.get(place, 0)
        self._uses[place] = use + 1
        return [self._seed % (1 << 63), self._step, zlib.crc32(place.encode()), use]

    def mask(self, place: str, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """Factors of inverted dropout: 0 with probability `rate`, else `1 / (1 - rate)`.

        Returns:
            `[1, *shape]`, dtype and device of `like`.
        """
        kept = self.kept(place, shape, [rate], like)
        return kept.bitwise_and_(_bits_of(1 / (1 - rate), like.dtype)).view(like.dtype)

    def kept(
        self, place: str, shape: Sequence[int], rates: Sequence[float], like: Tensor
    ) -> Tensor:
        """The same without the scale, as bits for `drop`: all set, or none.

        One draw of `shape` is compared with each of the S `rates`.

        Returns:
            Integers `[S, *shape]` as wide as `like`; S is 1 where all rates are equal.
        """
        draws = _draw(self.key(place), shape, like.device)
        distinct = rates[:1] if len(set(rates)) == 1 else rates
        kept = [_kept(draws, rate) for rate in distinct]
        stacked = kept[0].unsqueeze(0) if len(kept) == 1 else torch.stack(kept)
        return stacked.to(_BITS[like.dtype])

    def __deepcopy__(self, memo: dict[int, Any]) -> Noise:
        return self


def drop(x: Tensor, kept: Tensor) -> Tensor:
    """`x` where the bits of `kept` are set, else 0; not scaled. On plain tensors, no autograd."""
    return (x.view(kept.dtype) & kept).view(x.dtype)


class KeyedDropout(nn.Dropout):
    """`nn.Dropout` whose mask is drawn once for the batch and repeated for all runs.

    Input `[K * B, ...]`, the K runs one after the other; K is `noise.runs`. Where `shared` is
    set, the input is `[B, ...]`, the same for all runs.
    """

    shared = False

    def __init__(self, p: float, noise: Noise, place: str) -> None:
        super().__init__(p)
        self.noise = noise
        self.place = place

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        runs = 1 if self.shared else self.noise.runs
        rows = input.shape[0] // runs
        mask = self.noise.mask(self.place, (rows, *input.shape[1:]), self.p, input)
        by_run = input.reshape(runs, rows, *input.shape[1:])
        return (by_run * mask).reshape(input.shape)


def use_keyed_dropout(model: nn.Module, noise: Noise) -> None:
    """Replace every `nn.Dropout` of a model by one that draws from `noise`."""
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout) and not isinstance(module, KeyedDropout):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, KeyedDropout(module.p, noise, path))


def draws_by_itself(net: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a training pass moves torch's generator on."""
    accepted = inspect.signature(net.forward).parameters
    row = tokenizer("a", "b", return_tensors="pt")
    before = torch.get_rng_state()
    with torch.no_grad():
        net.train()(**{name: column for name, column in row.items() if name in accepted})
    net.train(False)
    return not torch.equal(before, torch.get_rng_state())


def _draw(key: list[int], shape: Sequence[int], device: torch.device) -> Tensor:
    """Uniform integers in [0, 32768) as int16."""
    count = math.prod(shape)
    if device.type == "cpu":
        # Four draws of each 64-bit word: `torch.rand` takes 6 times as long.
        words = np.atleast_1d(np.random.SFC64(key).random_raw(-(-count // 4)))
        np.bitwise_and(words, _LOW_BITS, out=words)
        return torch.from_numpy(words.view(np.int16)[:count]).view(*shape)
    generator = torch.Generator(device)
    generator.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]))
    return torch.randint(
        _LEVELS, tuple(shape), dtype=torch.int16, device=device, generator=generator
    )


def _kept(draws: Tensor, rate: float) -> Tensor:
    """-1 (all bits) where a draw is at least `rate`, else 0; `rate` is below 1.

    Adding what is missing to 32,768 sets the sign of those draws. By bits: a product of a number
    and a truth value is several times slower on a CPU than one of like types.
    """
    threshold = min(round(rate * _LEVELS), _LEVELS - 1)
    missing = _LEVELS - threshold
    return draws.add(missing if missing < _LEVELS else -_LEVELS).bitwise_right_shift_(15)


@functools.cache
def _bits_of(number: float, dtype: torch.dtype) -> int:
    """The number's bits as an integer; a tensor of it on a GPU would have to be sent there."""
    return int(torch.tensor(number, dtype=dtype).view(_BITS[dtype]))
