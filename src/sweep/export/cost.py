"""What scoring pairs costs in every form of an exported adapter, each in a fresh process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

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
from sweep.study.files import ExportedFiles
from sweep.train.memory import PeakMemory, resident_mb
from sweep.train.precision import resolve_precision

#: A form, or the merged model in bfloat16, where the processor multiplies it.
Measured = Literal["adapter", "merged", "merged bf16", "onnx", "int8"]
#: Pairs of dev: enough of their lengths, and a batch loop of some seconds.
_PAIRS = 512
_ALONE = 200
_UNMEASURED = 5
#: Less than so many times the pairs a second is noise.
_GAIN = 1.1


@dataclass(frozen=True)
class Cost:
    """What a form takes on so many threads.

    Pairs a second are those of batches of like length; milliseconds are of one pair at a time,
    in the order of the file. `peak_mb` is what loading and scoring add to a process that has its
    libraries, `file_mb` the form on disk, without the base where it is an adapter; None is unknown.
    """

    name: Measured
    threads: int
    pairs_per_second: float
    median_ms: float
    p95_ms: float
    peak_mb: float | None
    file_mb: float | None


def costs_of(
    folder: Path, *, threads: Sequence[int], base: str | None = None, seconds: float = 2.0
) -> list[Cost]:
    """Measure every form of an exported folder, one after the other.

    Args:
        threads: Numbers of them, each measured on its own.
        base: Where the base model lies, if not where it was at the training.
        seconds: For the pairs a second, and again for the pairs one by one.

    Raises:
        ExportError: the folder is not an exported one, or its base is not to be had.
    """
    refuse_other_tasks(read_recipe(folder), "Measurements of `cost`")
    return [
        in_fresh_process(measured, folder.resolve(), name, number, base, seconds)
        for number in threads
        for name in measurable(folder)
    ]


def measurable(folder: Path) -> list[Measured]:
    """What can be measured here: merged also where it is not written, bf16 in silicon only."""
    there = formats_in(folder)
    others: list[Format] = [name for name in ("onnx", "int8") if name in there]
    bf16: list[Measured] = (
        ["merged bf16"] if resolve_precision("auto", use_cpu=True) == "bf16" else []
    )
    usable: list[Measured] = [name for name in others if why_not(name) is None]
    return ["adapter", "merged", *bf16, *usable]


def measured(folder: Path, name: Measured, threads: int, base: str | None, seconds: float) -> Cost:
    """In a process that has done nothing else."""
    recipe = on_base(read_recipe(folder), folder, base)
    pairs = _pairs(recipe)
    before = resident_mb()
    with PeakMemory(torch.device("cpu")) as memory:
        score = _loaded(name, folder, recipe, threads)
        in_batches(score, pairs[:64])
        rate, alone = _rate(score, pairs, seconds), _alone(score, pairs, seconds)
    peak = None if memory.peak_mb is None or before is None else memory.peak_mb - before
    median, late = (float(np.quantile(alone, share)) for share in (0.5, 0.95))
    return Cost(name, threads, rate, median, late, peak, _file_mb(name, folder))


def _loaded(name: Measured, folder: Path, recipe: Recipe, threads: int) -> Score:
    if name != "merged bf16":
        return score_of(name, folder, recipe, threads=threads)
    return score_of("merged", folder, recipe, threads=threads, dtype=torch.bfloat16)


def _pairs(recipe: Recipe) -> list[tuple[str, str]]:
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
    place = ExportedFiles(folder).folder / name.partition(" ")[0]
    if name == "merged bf16" or not place.is_dir():
        return None
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 1e6


def cost_words(costs: Sequence[Cost]) -> list[str]:
    """What merging and eight bits change, on the fewest threads that were measured."""
    fewest = min(cost.threads for cost in costs)
    known = {cost.name: cost for cost in costs if cost.threads == fewest}
    adapter, merged, int8 = (known.get(name) for name in ("adapter", "merged", "int8"))
    assert adapter is not None
    assert merged is not None
    times = merged.pairs_per_second / adapter.pairs_per_second
    words = [
        "LoRA leaves the cost of scoring as that of the base; merging makes it "
        f"{times:.2f} times the adapter's pairs a second, on {fewest} "
        f"thread{'s' * (fewest > 1)}."
    ]
    if int8 is not None:
        gain = int8.pairs_per_second / merged.pairs_per_second
        said = f"{gain:.2f} times merged" if gain >= _GAIN else f"no gain here ({gain:.2f} times)"
        words.append(f"int8 gives {said}; what it loses stands in the card.")
    return words
