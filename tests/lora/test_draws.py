"""Keyed draws: the same for the same key, new for another, the same for all runs of a pack."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from sweep.lora.draws import KeyedDropout, Noise

LIKE = torch.zeros(1)


def mask(noise: Noise, place: str = "layer", rate: float = 0.5) -> torch.Tensor:
    return noise.mask(place, (40, 50), rate, LIKE)


def test_mask_depends_on_seed_step_and_place_and_nothing_else() -> None:
    first, other = Noise(1), Noise(1)
    torch.manual_seed(5)
    mask(other, "elsewhere")
    assert torch.equal(mask(first), mask(other))
    differing = [Noise(2), Noise(1), Noise(1)]
    differing[1].at_step(1)
    masks = [mask(differing[0]), mask(differing[1]), mask(differing[2], "elsewhere")]
    assert not any(torch.equal(mask(Noise(1)), m) for m in masks)


def test_a_place_used_twice_draws_anew_unless_it_may_be_recomputed() -> None:
    anew, same = Noise(1), Noise(1, repeats=True)
    assert not torch.equal(mask(anew), mask(anew))
    assert torch.equal(mask(same), mask(same))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mask_keeps_the_mean(rate: float, dtype: torch.dtype) -> None:
    like = LIKE.to(dtype)
    factors = Noise(3).mask("layer", (400, 500), rate, like)
    assert factors.dtype == dtype
    scale = torch.tensor(1 / (1 - rate), dtype=dtype)
    assert set(factors.unique().tolist()) <= {0.0, scale.item()}
    # 200,000 draws: five standard deviations of the share are at most 0.006.
    assert (factors == 0).float().mean().item() == pytest.approx(rate, abs=0.006)


def test_masks_of_seeds_steps_places_and_uses_are_independent() -> None:
    # Against each other, at every shift: a stream that is another's continuation would show.
    keys = itertools.product((0, 1), (0, 1, 2), ("layer.0.query", "layer.0.key", "layer.1.query"))
    masks = []
    for seed, step, place in keys:
        noise = Noise(seed)
        noise.at_step(step)
        masks += [mask(noise, place, 0.1).flatten() for _ in range(2)]
    dropped = (torch.stack(masks) == 0).double()
    count = dropped.shape[1]
    spectra = torch.fft.rfft((dropped - 0.1) / 0.3)
    pairs = list(itertools.combinations_with_replacement(range(len(masks)), 2))
    left, right = zip(*pairs, strict=True)
    z = torch.fft.irfft(spectra[list(left)] * spectra[list(right)].conj(), n=count) / count**0.5
    # With itself at no shift a mask is itself.
    z[[i == j for i, j in pairs], 0] = 0
    assert z.std().item() == pytest.approx(1, abs=0.02)
    assert z.abs().max() < 6.5


def test_a_higher_rate_drops_what_a_lower_one_drops() -> None:
    low, high = Noise(4).kept("layer", (40, 50), [0.1, 0.4], LIKE)
    assert ((low == 0) <= (high == 0)).all()
    assert (high == 0).sum() > (low == 0).sum()


def test_dropout_repeats_one_mask_over_the_runs_of_a_pack() -> None:
    noise = Noise(5)
    noise.runs = 3
    dropout = KeyedDropout(0.5, noise, "layer")
    rows = torch.rand(4, 6, 8) + 1
    out = dropout(rows.repeat(3, 1, 1)).view(3, 4, 6, 8)
    assert torch.equal(out[0], out[1])
    assert torch.equal(out[0], out[2])
    assert (out[0] == 0).any()
    noise.runs = 1
    noise.at_step(0)
    assert torch.equal(out[0], dropout(rows))
    assert torch.equal(dropout.eval()(rows), rows)


def test_a_copied_model_draws_from_the_same_source() -> None:
    dropout = KeyedDropout(0.5, Noise(6), "layer")
    assert copy.deepcopy(dropout).noise is dropout.noise
