"""What a worker's memory is, and what it gives back."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from packs import tiny, train, train_together
from sweep.core.recipe import Recipe
from sweep.execute.boundary import Boundary
from sweep.loop.trial import Event, Finished, Run, RunState
from sweep.lora.pack import Base, PackedModel
from sweep.train import runs as runs_module
from sweep.train.memory import PeakMemory, give_back_free_memory
from sweep.train.optimizers import RunOptimizer
from sweep.train.runs import train_pack
from sweep.train.trainer import PackTrainer

CPU = torch.device("cpu")


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to")
def test_freed_memory_below_what_is_in_use_goes_back_to_the_system() -> None:
    blocks = [bytearray(64_000) for _ in range(2000)]
    for block in blocks:
        block[::4096] = b"x" * len(block[::4096])
    full = resident_mb()
    # The last block holds the end of the heap, so nothing shrinks by itself.
    del blocks[:-1]
    give_back_free_memory()
    assert resident_mb() < full - 100


def test_peak_is_above_what_is_left_and_starts_anew() -> None:
    with PeakMemory(CPU) as large:
        block = bytearray(200_000_000)
        block[::4096] = b"x" * len(block[::4096])
        del block
    with PeakMemory(CPU) as small:
        pass
    if large.peak_mb is None or small.peak_mb is None:
        pytest.skip("this system does not tell the peak")
    assert large.peak_mb > small.peak_mb + 150


@dataclass
class Alive:
    """What trainings have made, for as long as anything holds it."""

    bases: list[weakref.ref[Any]] = field(default_factory=list)
    others: list[weakref.ref[Any]] = field(default_factory=list)
    #: How many bases there were when another was about to be made.
    bases_before: list[int] = field(default_factory=list)

    @property
    def num_bases(self) -> int:
        return sum(ref() is not None for ref in self.bases)

    @property
    def num_others(self) -> int:
        return sum(ref() is not None for ref in self.others)


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Alive]:
    """Bases, their copies, packs and trainers of this test."""
    alive = Alive()
    make_base, copy_base = Base.__init__, Base.copied

    def made(self: Base, *args: Any, **kwargs: Any) -> None:
        alive.bases_before.append(alive.num_bases)
        make_base(self, *args, **kwargs)
        alive.bases.append(weakref.ref(self.net))

    def copied(self: Base) -> Base:
        own = copy_base(self)
        alive.others.append(weakref.ref(own.net))
        return own

    monkeypatch.setattr(Base, "__init__", made)
    monkeypatch.setattr(Base, "copied", copied)
    for kind in (PackedModel, PackTrainer):
        monkeypatch.setattr(kind, "__init__", _noting(kind.__init__, alive.others))
    runs_module._base.cache_clear()
    yield alive
    runs_module._base.cache_clear()


def _noting(make: Any, found: list[weakref.ref[Any]]) -> Any:
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        found.append(weakref.ref(self))
        make(self, *args, **kwargs)

    return made


KINDS: dict[str, dict[str, Any]] = {
    "packed": {},
    "dora": {"use_dora": True},
    "bias": {"bias": "lora_only"},
    "pissa": {"init_lora_weights": "pissa"},
}


@pytest.mark.trains
@pytest.mark.parametrize("kind", [*KINDS, "checkpointed"])
def test_nothing_of_a_pack_outlives_it_but_the_base(
    kind: str, alive: Alive, recipe: Recipe, tmp_path: Path
) -> None:
    lora = replace(recipe.lora, **KINDS.get(kind, {}))
    trainer = replace(recipe.trainer, activation_checkpointing=kind == "checkpointed")
    for r in (2, 4, 8):
        train(replace(recipe, lora=replace(lora, r=r), trainer=trainer), tmp_path)
        assert (alive.num_bases, alive.num_others) == (1, 0)
    assert len(alive.bases) == 1
    assert len(alive.others) >= 6


@pytest.mark.trains
def test_other_base_takes_the_place_of_the_first(
    alive: Alive, recipe: Recipe, tiny_model: Path, tmp_path: Path
) -> None:
    other = replace(recipe, model=tiny("roberta", tiny_model, tmp_path / "model"))
    for number, one in enumerate((recipe, other, recipe, other), start=1):
        train_together([one, replace(one, lora=replace(one.lora, r=2))], tmp_path / str(number))
        assert (len(alive.bases), alive.num_bases, alive.num_others) == (number, 1, 0)


@pytest.mark.trains
def test_base_of_a_pack_that_broke_is_gone_before_another_is_loaded(
    alive: Alive, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, step = [0], RunOptimizer.step

    def too_large(self: RunOptimizer) -> Any:
        steps[0] += 1
        if steps[0] == 10:
            raise MemoryError
        return step(self)

    monkeypatch.setattr(RunOptimizer, "step", too_large)
    recipes = [replace(recipe, lora=replace(recipe.lora, r=r)) for r in (1, 2, 3, 4)]
    events: list[Event] = []
    boundary = Boundary(train_pack, runs_dir=tmp_path, worker="worker")
    boundary.attempt(tuple(Run(n, {}, one) for n, one in enumerate(recipes)), events.append)
    done = [event.outcome.state for event in events if isinstance(event, Finished)]
    assert done == [RunState.COMPLETE] * 4
    assert alive.bases_before == [0, 0]
    assert (alive.num_bases, alive.num_others) == (1, 0)
