"""What scoring pairs costs in every form of an exported adapter, each in a fresh process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sweep.core.optional import trouble_with
from sweep.core.recipe import Recipe
from sweep.data.pairs import load_split
from sweep.execute.fresh import in_fresh_process
from sweep.export.exported import on_base, read_recipe
from sweep.export.formats import (
    Format,
    Score,
    formats_in,
    in_batches,
    refuse_other_tasks,
    score_of,
    why_not,
)
from sweep.stats.interval import Interval
from sweep.study.files import ExportedFiles
from sweep.study.reading import read_json
from sweep.study.scoring_costs import Cost, ScoringCosts
from sweep.train.memory import PeakMemory, resident_mb
from sweep.train.precision import resolve_precision

#: A form; the adapter on a base in four bits; the merged model in bfloat16, where the processor
#: multiplies it.
Measured = Literal["adapter", "adapter nf4", "merged", "merged bf16", "onnx", "int8"]
#: Pairs of dev: enough of their lengths, and a batch loop of some seconds.
_PAIRS = 512
_ALONE = 200
_UNMEASURED = 5
#: Instructions that multiply integers of eight bits many at a time.
_EIGHT_BITS = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")


def costs_of(
    folder: Path, *, threads: Sequence[int], base: str | None = None, seconds: float = 2.0
) -> ScoringCosts:
    """Measure every form of an exported folder, one after the other.

    Args:
        threads: Numbers of them, each measured on its own.
        base: Where the base model lies, if not where it was at the training.
        seconds: For the pairs a second, and again for the pairs one by one.

    Raises:
        ExportError: the folder is not an exported one, or its base is not to be had.
    """
    recipe = read_recipe(folder)
    refuse_other_tasks(recipe, "Measurements of `cost`")
    found = tuple(
        in_fresh_process(measured, folder.resolve(), name, number, base, seconds)
        for number in threads
        for name in measurable(folder, recipe)
    )
    able = torch.cpu.get_capabilities()
    has_vnni = any(able.get(name) for name in _EIGHT_BITS) if "avx2" in able else None
    change = _change_of_int8(folder)
    word = recipe.task.measure.word
    return ScoringCosts(found, able.get("cpu_name", ""), has_vnni, change, word)


def _change_of_int8(folder: Path) -> Interval | None:
    """On dev, as the export has found it."""
    metrics = read_json(ExportedFiles(folder).metrics, dict[str, Any], otherwise="") or {}
    for form in metrics.get("formats") or ():
        if form.get("name") == "int8":
            return Interval(**form["difference"])
    return None


def measurable(folder: Path, recipe: Recipe) -> list[Measured]:
    """What can be measured here: merged also where it is not written, bf16 in silicon only."""
    can_shrink = recipe.model.quantization == "none" and not trouble_with("bitsandbytes")
    nf4: list[Measured] = ["adapter nf4"] if can_shrink else []
    there = formats_in(folder)
    others: list[Format] = [name for name in ("onnx", "int8") if name in there]
    bf16: list[Measured] = (
        ["merged bf16"] if resolve_precision("auto", use_cpu=True) == "bf16" else []
    )
    usable: list[Measured] = [name for name in others if why_not(name) is None]
    return ["adapter", *nf4, "merged", *bf16, *usable]


def measured(folder: Path, name: Measured, threads: int, base: str | None, seconds: float) -> Cost:
    """In a process that has done nothing else."""
    recipe = on_base(read_recipe(folder), folder, base)
    pairs = pairs_of(recipe)
    before = resident_mb()
    with PeakMemory(torch.device("cpu")) as memory:
        score = loaded(name, folder, recipe, threads=threads)
        in_batches(score, pairs[:64])
        rate, alone = _rate(score, pairs, seconds), _alone(score, pairs, seconds)
    peak = None if memory.peak_mb is None or before is None else memory.peak_mb - before
    median, late = (float(np.quantile(alone, share)) for share in (0.5, 0.95))
    return Cost(name, threads, rate, median, late, peak, _file_mb(name, folder))


def loaded(name: Measured, folder: Path, recipe: Recipe, *, threads: int) -> Score:
    """The form, ready to score."""
    if name == "merged bf16":
        return score_of("merged", folder, recipe, threads=threads, dtype=torch.bfloat16)
    if name == "adapter nf4":
        small = replace(recipe, model=replace(recipe.model, quantization="nf4"))
        return score_of("adapter", folder, small, threads=threads)
    return score_of(name, folder, recipe, threads=threads)


def pairs_of(recipe: Recipe) -> list[tuple[str, str]]:
    """Some of dev, in an order of chance."""
    dev = load_split(recipe.data, "dev")
    chosen = np.random.default_rng(0).permutation(len(dev))[:_PAIRS]
    return [(dev.text_a[place], dev.text_b[place]) for place in chosen]


def _rate(score: Score, pairs: Sequence[tuple[str, str]], seconds: float) -> float:
    """Pairs a second, over whole rounds: a part of one would have lengths of its own."""
    start, rounds = time.perf_counter(), 0
    while rounds == 0 or time.perf_counter() - start < seconds:
        in_batches(score, pairs)
        rounds += 1
    return rounds * len(pairs) / (time.perf_counter() - start)


def _alone(score: Score, pairs: Sequence[tuple[str, str]], seconds: float) -> list[float]:
    """Milliseconds of each pair."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    for pair in [*pairs[:_UNMEASURED], *pairs][: _ALONE + _UNMEASURED]:
        start = time.perf_counter()
        score([pair])
        taken.append(1000 * (time.perf_counter() - start))
        if time.perf_counter() > end and len(taken) > _UNMEASURED:
            break
    return taken[_UNMEASURED:]


def _file_mb(name: Measured, folder: Path) -> float | None:
    place = folder / name
    if " " in name or not place.is_dir():
        return None
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6
