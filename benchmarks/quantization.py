"""What a quantized base saves, and what it costs: memory, time of a step, Pearson.

    python benchmarks/quantization.py cost [--repeats 5] [--rows 16]
    python benchmarks/quantization.py score --train sts-train.csv --dev sts-dev.csv \
        data.text_a=5 data.text_b=6 data.label=4

`cost`: a random model of klue/roberta-small's shape (6 layers x 768) in float32, nf4 and int8: the
bytes of its base, and CPU seconds of a run's step in a pack of four (q/v, rank 8, forward and
backward over 16 of the generated pairs, one thread). The kinds take turns, step by step.

`score`: MiniLM as bi-encoder, rank 8 on all linear layers, learning rate 1e-3, 100 steps of 16
pairs, a study that searches the quantization. Further words are settings of the sweep.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import summary, write
from pack_scaling import models, recipe_of, runs_of

from sweep.core.recipe import Recipe
from sweep.loop.trial import RunState
from sweep.lora.batches import Batch, Collator
from sweep.lora.model import load_tokenizer
from sweep.lora.pack import Base, PackedModel
from sweep.stats.interval import Interval
from sweep.stats.paired import paired_difference
from sweep.stats.statistics import Sample
from sweep.study.samples import sample_of
from sweep.study.study import Study
from sweep.train.losses import losses
from sweep.train.splits import splits

_KINDS = ("none", "nf4", "int8")
_PACK = 4


def cost(asked: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    with models() as known:
        plain = recipe_of(known["roberta_small_shape"], "qv", 1)
        recipes = {k: replace(plain, model=replace(plain.model, quantization=k)) for k in _KINDS}
        tokenizer, cpu = load_tokenizer(plain.model), torch.device("cpu")
        bases = {
            kind: Base(recipe.model, tokenizer, device=cpu, dtype=torch.float32)
            for kind, recipe in recipes.items()
        }
        rows = splits(plain.model, plain.data).train
        batch = Collator(tokenizer)([rows[place] for place in range(asked.rows)])
        raw: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        with ExitStack() as stack:
            packs = {
                kind: stack.enter_context(PackedModel(bases[kind], runs_of(recipe, _PACK)))
                for kind, recipe in recipes.items()
            }
            for turn in range(1 + asked.repeats):
                for kind, pack in packs.items():
                    seconds = step_seconds(pack, batch)
                    # The first one prepares the products' shapes.
                    raw[kind] += [seconds] * (turn > 0)
                    print(kind, turn, round(seconds, 3), file=sys.stderr, flush=True)
    memory = {kind: base.memory_mb for kind, base in bases.items()}
    middle = {kind: statistics.median(seconds) for kind, seconds in raw.items()}
    content = {
        "unit": "CPU seconds of one run's step in a pack of four; MB of the frozen base",
        "rows": asked.rows,
        "tokens": int(batch["num_tokens"]),
        "raw": raw,
        "summary": {kind: summary(seconds) for kind, seconds in raw.items()},
        "step_ratio": {kind: round(middle[kind] / middle["none"], 4) for kind in _KINDS},
        "base_mb": memory,
        "base_ratio": {kind: round(memory[kind] / memory["none"], 4) for kind in _KINDS},
    }
    print(write("quantization_cost", content))
    print(content["step_ratio"], content["base_ratio"])


def step_seconds(pack: PackedModel, batch: Batch) -> float:
    """CPU seconds of one run's forward and backward pass: others may use the machine, too."""
    pack.model.train()
    pack.noise.at_step(0)
    start = time.process_time()
    loss = losses(pack.forward(batch), batch["labels"], pack.runs[0].recipe.task).sum()
    loss.backward()
    pack.zero_gradients()
    return (time.process_time() - start) / _PACK


def score(asked: argparse.Namespace, further: list[str]) -> None:
    words = [
        *("data=files", f"data.train={asked.train.resolve()}", f"data.dev={asked.dev.resolve()}"),
        *("task.encoder=bi", "tracking=disabled", "confirm=none", "baselines=none"),
        *("trainer.precision=fp32", "lora.r=8", "lora.target_modules=all-linear"),
        *("trainer.learning_rate=1e-3", "trainer.max_steps=100", "trainer.eval_strategy=steps"),
        *("trainer.eval_steps=100", "search=grid", "search.race=false", "name=quantization"),
        f"search.seeds={list(range(asked.seeds))}",
        f"search.space={{model.quantization:[{','.join(_KINDS)}]}}",
        *further,
    ]
    with tempfile.TemporaryDirectory() as folder:
        place = asked.study or Path(folder) / "results" / "quantization"
        if asked.study is None:
            environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
            command = [sys.executable, "-m", "sweep", *words]
            subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr, env=environment)
        content = {
            # What stands last holds.
            "setting": " ".join({w.partition("=")[0]: w for w in words if "/" not in w}.values()),
            "pearson": _by_kind(Study.open(place)),
            "minus_float": _differences(Study.open(place), place),
        }
    print(write(asked.to, content))
    print(json.dumps(content, indent=1))


def _differences(study: Study, folder: Path) -> dict[str, Any]:
    """Pearson of each kind minus float32's, on the same seeds and dev pairs, with 95 % intervals.

    `with_luck` holds the luck of the seeds, `by_seed` that of the dev pairs alone.
    """
    runs: dict[str, list[Recipe]] = {}
    for record in study.records:
        if record.state is RunState.COMPLETE:
            recipe = record.run.recipe
            runs.setdefault(recipe.model.quantization, []).append(recipe)
    samples = {
        kind: sample_of(own[0].config_id, folder, sorted(recipe.seed for recipe in own))
        for kind, own in runs.items()
    }
    plain = samples.pop("none")
    found = {}
    for kind, sample in samples.items():
        seeds = [seed for seed in sample.seeds if seed in plain.seeds]
        alone = [paired_difference(_of(sample, s), _of(plain, s), study.dev_labels) for s in seeds]
        found[kind] = {
            "with_luck": _ends(paired_difference(sample, plain, study.dev_labels)),
            "by_seed": {str(seed): _ends(one) for seed, one in zip(seeds, alone, strict=True)},
        }
    return found


def _of(sample: Sample, seed: int) -> Sample:
    place = sample.seeds.index(seed)
    return Sample((seed,), sample.predictions[place : place + 1], sample.config_id)


def _ends(interval: Interval) -> list[float]:
    return [round(float(x), 5) for x in (interval.value, interval.ci_low, interval.ci_high)]


def _by_kind(study: Study) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in study.records:
        recipe, outcome = record.run.recipe, record.outcome
        if outcome is None or record.state is not RunState.COMPLETE:
            continue
        run = {
            "seed": recipe.seed,
            "pearson": outcome.score,
            "base_mb": outcome.base_memory_mb,
            "peak_mb": outcome.peak_memory_mb,
        }
        found.setdefault(recipe.model.quantization, []).append(run)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    costs = parts.add_parser("cost")
    costs.add_argument("--repeats", type=int, default=5)
    costs.add_argument("--rows", type=int, default=16)
    scores = parts.add_parser("score")
    scores.add_argument("--train", type=Path, required=True)
    scores.add_argument("--dev", type=Path, required=True)
    scores.add_argument("--seeds", type=int, default=3)
    scores.add_argument("--study", type=Path, help="one that is there already: nothing is trained")
    scores.add_argument("--to", default="quantization_score", help="name of what is written")
    asked, further = parser.parse_known_args()
    if asked.part == "cost":
        cost(asked)
    else:
        score(asked, further)


if __name__ == "__main__":
    main()
