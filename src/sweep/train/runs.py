"""Runs trained in packs, on a base and on pairs that the process keeps: what a worker calls."""

from __future__ import annotations

import functools
import gc
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from sweep.core.own_metrics import trust
from sweep.core.recipe import Model, Recipe
from sweep.loop.ports import Handle
from sweep.loop.trial import Evaluated, Finished, Run
from sweep.lora.model import Classes, load_tokenizer
from sweep.lora.pack import Base
from sweep.lora.packable import pack_key
from sweep.lora.whole import pack_of
from sweep.study.files import RunFiles
from sweep.train.checkpoints import read_checkpoint
from sweep.train.keeper import Keeper
from sweep.train.memory import PeakMemory, give_back_free_memory
from sweep.train.precision import dtype_of, resolve_precision
from sweep.train.splits import splits
from sweep.train.trainer import PackTrainer, training_arguments


def base_of(recipe: Recipe, *, scratch: str) -> Base:
    """The frozen base of a recipe, on the device and in the precision that it trains with."""
    device = training_arguments(recipe.trainer, seed=recipe.seed, scratch=scratch).device
    precision = resolve_precision(recipe.trainer.precision, use_cpu=recipe.trainer.use_cpu)
    return _base(recipe.model, device, dtype_of(precision), recipe.data.classes)


@functools.lru_cache(maxsize=1)
def _base(model: Model, device: torch.device, dtype: torch.dtype, classes: Classes) -> Base:
    """One at a time: a process trains on one base after the other."""
    tokenizer = load_tokenizer(model)
    return Base(model, tokenizer, device=device, dtype=dtype, classes=classes)


def train_pack(runs: Sequence[Run], runs_dir: Path, handle: Handle) -> None:
    """Train runs of one `pack_key`; of each, keep the adapter of its best dev evaluation.

    Writes `adapter/` and `predictions.npy` into the folder of each run, and reports `Progress`,
    `Evaluated` and one `Finished` for each (or `Paused`, at `Run.until` and where the sweep ends
    early). A run that fails leaves the others as they are; one that was interrupted or paused goes
    on from its last checkpoint, after reporting its evaluations again.
    """
    if len({pack_key(run.recipe) for run in runs}) > 1:
        raise ValueError("the runs of a pack must have one pack_key")
    source = runs[0].recipe.task.measure.source
    if source is not None:
        # Who trains for a study has taken its word.
        trust(source, note=False)
    # A pack that broke was still held by its exception when it ended.
    _clear_up()
    try:
        with tempfile.TemporaryDirectory(prefix="sweep-run-") as scratch:
            lent = _settled(runs[0].recipe, scratch=scratch)
            keepers = [
                Keeper(run, runs_dir / run.id, read_checkpoint(runs_dir / run.id)) for run in runs
            ]
            for pack in [[k] for k in keepers] if lent.draws_by_itself else _by_step(keepers):
                _train_together(pack, lent, handle, scratch=scratch)
                _clear_up()
    except BaseException:
        # Half an adapter may be left on it (out of memory): the next pack loads another.
        _base.cache_clear()
        gc.unfreeze()
        raise


def _settled(recipe: Recipe, *, scratch: str) -> Base:
    """The base; it and the pairs, which stay, are not searched for garbage again and again.

    That takes half a second a time. Only what was just loaded is set aside: anything else of that
    moment, such as the pack before, would stay for good.
    """
    before = _base.cache_info().misses, splits.cache_info().misses
    base = base_of(recipe, scratch=scratch)
    splits(recipe.model, recipe.data, recipe.task.encoder)
    if (_base.cache_info().misses, splits.cache_info().misses) != before:
        # A base that this one has taken the place of was set aside, too.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
    return base


def _clear_up() -> None:
    """Free what a pack leaves: trainer, optimizer and callbacks refer to each other in circles."""
    gc.collect()
    give_back_free_memory()


def _by_step(keepers: Sequence[Keeper]) -> list[list[Keeper]]:
    """Runs that go on from different steps see different batches: one pack for each step."""
    steps: dict[int, list[Keeper]] = {}
    for keeper in keepers:
        steps.setdefault(keeper.checkpoint.step if keeper.checkpoint else 0, []).append(keeper)
    return list(steps.values())


def _train_together(runs: Sequence[Keeper], lent: Base, handle: Handle, *, scratch: str) -> None:
    recipe = runs[0].run.recipe
    keepers = {keeper.run.id: keeper for keeper in runs}
    for keeper in runs:
        for evaluation in keeper.evaluations:
            handle(Evaluated(keeper.run.id, evaluation))
    shared = splits(recipe.model, recipe.data, recipe.task.encoder)
    # What goes on has its adapter in its checkpoint.
    seen = None if runs[0].checkpoint else shared.train
    with pack_of(lent, [keeper.run for keeper in runs], seen) as pack:
        with PeakMemory(lent.device) as memory:
            trainer = PackTrainer(pack, keepers, shared, handle, scratch=scratch)
            trainer.train_to_the_end()
        for run in pack.runs:
            outcome = keepers[run.id].outcome(
                pack,
                steps=trainer.state.global_step,
                tokens=trainer.tokens,
                pack_size=len(runs),
                peak_mb=memory.peak_mb,
                base_mb=lent.memory_mb,
            )
            handle(Finished(run.id, outcome))
            RunFiles(keepers[run.id].folder).remove_checkpoint()
