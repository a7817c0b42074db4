"""How far a plan is off: `mode=plan`, then the sweep, in time and peak memory of every config.

    python benchmarks/plan_error.py [--klue FOLDER]

`lora_grid` as it is; with a folder of KLUE-STS (`train.csv`, `dev.json`) also the shape of
`klue_lora_grid`: a random RoBERTa of that size with a tokenizer of those pairs, some
dozen steps.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import write

_PIECES = 32_000


def make_model(folder: Path, train: Path) -> None:
    """6 layers of 768, random; the tokenizer knows all characters and frequent words."""
    import torch
    from transformers import BertTokenizerFast, RobertaConfig, RobertaModel

    with train.open(encoding="utf-8", newline="") as file:
        texts = [cell for row in list(csv.reader(file))[1:] for cell in row[:2]]
    words = Counter(word for text in texts for word in text.split())
    letters = sorted({letter for word in words for letter in word})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    frequent = [word for word, _ in words.most_common() if len(word) > 1]
    folder.mkdir()
    vocabulary = [*pieces, *frequent][:_PIECES]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=_PIECES,
        num_hidden_layers=6,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    RobertaModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)


def errors_of(arguments: Sequence[str], folder: Path, name: str) -> dict[str, Any]:
    """Plan and train a sweep; what `plan.json` says of both."""
    common = [f"results_dir={folder}", f"name={name}", "tracking=disabled"]
    command = [sys.executable, "-m", "sweep", *arguments, *common]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    for mode in (["mode=plan"], []):
        subprocess.run([*command, *mode], check=True, env=environment)
    found: dict[str, Any] = json.loads((folder / name / "plan.json").read_text(encoding="utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--klue", type=Path, help="folder of KLUE-STS")
    parser.add_argument("--steps", type=int, default=60, help="of each run of the KLUE shape")
    parser.add_argument("--without-demo", action="store_true")
    asked = parser.parse_args()
    plans = {}
    with tempfile.TemporaryDirectory(prefix="sweep-plan-") as name:
        folder = Path(name)
        if not asked.without_demo:
            plans["lora_grid"] = errors_of(["+experiment=lora_grid"], folder, "demo")
        if asked.klue is not None:
            make_model(folder / "model", asked.klue / "train.csv")
            arguments = [
                *("+experiment=klue_lora_grid", f"model.path={folder / 'model'}", "data=files"),
                *(f"data.train={asked.klue / 'train.csv'}", f"data.dev={asked.klue / 'dev.json'}"),
                *("data.label=[label,labels.label]", f"trainer.max_steps={asked.steps}"),
                *("trainer.eval_strategy=steps", f"trainer.eval_steps={asked.steps // 2}"),
            ]
            plans["klue_lora_grid"] = errors_of(arguments, folder, "klue")
    summary = {name: plan["mean_absolute_error"] for name, plan in plans.items()}
    if plans:
        print(write("plan_error", {"summary": summary, "raw": plans}))
    print(summary)


if __name__ == "__main__":
    main()
