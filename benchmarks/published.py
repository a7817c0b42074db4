"""Figures that others have published, computed again: inside their tolerance or not?

    python benchmarks/published.py --list
    python benchmarks/published.py [ROW ...] [--stsb FOLDER] [--model ROW=PLACE]

A row names its source, its recipe as a command line of the program, and how far from the published
figure is still the same. Rows whose model or pairs are not at hand are left out, and it is said
what they need. `--stsb` is a folder with the STS benchmark as its authors give it (`sts-train.csv`,
`sts-dev.csv`, `sts-test.csv`); without it, GLUE's from the Hub is taken where it can be reached.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from common import write
from rich.console import Console
from rich.table import Table

from sweep.config.compose import load_settings
from sweep.core.errors import SweepError
from sweep.data.pairs import load_split
from sweep.train.baselines import score_baselines
from sweep.train.scores import scores


@dataclass(frozen=True)
class Published:
    """A figure, where it stands, and what leads to it.

    `how` is `cosine` (the frozen base, on test) or `train` (the mean over the seeds, on dev).
    """

    name: str
    source: str
    figures: dict[str, float]
    tolerance: float
    how: Literal["cosine", "train"]
    recipe: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    remark: str = ""


_GLUE = ("data=stsb", "confirm=none", "baselines=none", "tracking=disabled")
_KLUE = ("data=klue_sts", "confirm=none", "baselines=none", "tracking=disabled")
_LORA_PAPER = "Hu et al. 2021, arXiv:2106.09685, table 2"

REGISTRY = (
    Published(
        "minilm-cosine-stsb-test",
        "MTEB results, STSBenchmark, sentence-transformers/all-MiniLM-L6-v2",
        {"pearson": 0.8274, "spearman": 0.8203},
        0.001,
        "cosine",
        ("model=minilm", "data.max_length=256"),
    ),
    Published(
        "lora-roberta-base-stsb",
        f"{_LORA_PAPER}, RoBERTa-base",
        {"pearson": 0.915},
        0.005,
        "train",
        (
            "model=roberta_base",
            *_GLUE,
            *("lora.r=8", "lora.lora_alpha=8", "lora.target_modules=qv", "data.max_length=512"),
            *("trainer.learning_rate=4e-4", "trainer.num_train_epochs=40"),
            *("trainer.per_device_train_batch_size=16", "trainer.weight_decay=0.1"),
        ),
        (0, 1, 2, 3, 4),
        "the paper starts from its best model on MNLI; this starts from the pretrained one",
    ),
    Published(
        "lora-roberta-large-stsb",
        f"{_LORA_PAPER}, RoBERTa-large with a dagger (pretrained start, 128 tokens)",
        {"pearson": 0.923},
        0.005,
        "train",
        (
            "model.path=FacebookAI/roberta-large",
            *_GLUE,
            *("lora.r=8", "lora.lora_alpha=16", "lora.target_modules=qv", "data.max_length=128"),
            *("trainer.learning_rate=2e-4", "trainer.num_train_epochs=10"),
            *("trainer.per_device_train_batch_size=8", "trainer.weight_decay=0.1"),
        ),
        (0, 1, 2, 3, 4),
    ),
    Published(
        "lora-deberta-v3-base-stsb",
        "Zhang et al. 2023 (AdaLoRA), arXiv:2303.10512, table 1, LoRA r 8",
        {"pearson": 0.9160},
        0.005,
        "train",
        (
            "model.path=microsoft/deberta-v3-base",
            *_GLUE,
            *("lora.r=8", "lora.lora_alpha=16", "lora.target_modules=all-linear"),
            *("trainer.learning_rate=2.2e-3", "trainer.num_train_epochs=25"),
            *("trainer.per_device_train_batch_size=32", "data.max_length=128"),
        ),
        (0, 1, 2, 3, 4),
    ),
    Published(
        "klue-roberta-small-klue-sts",
        "Park et al. 2021 (KLUE), arXiv:2105.09680, baseline scores on dev, full fine-tuning",
        {"pearson": 0.9170},
        0.010,
        "train",
        (
            "model=klue_roberta_small",
            *_KLUE,
            *("lora.r=16", "lora.lora_alpha=16", "lora.target_modules=all-linear"),
            *("trainer.learning_rate=1e-3", "trainer.num_train_epochs=10"),
        ),
        (0, 1, 2),
        "LoRA, held against the full fine-tuning of the paper",
    ),
)


@dataclass(frozen=True)
class Found:
    """What a row came to."""

    name: str
    source: str
    published: dict[str, float]
    found: dict[str, float]
    verdict: str
    remark: str


def verdict(row: Published, found: dict[str, float]) -> str:
    """`inside`, or how far outside of the tolerance the worst figure is."""
    beyond = max(abs(found[name] - figure) for name, figure in row.figures.items()) - row.tolerance
    return "inside" if beyond <= 0 else f"failed by {beyond:.4f}"


def by_cosine(row: Published, pairs: tuple[str, ...]) -> dict[str, float]:
    """Of the frozen base, on test."""
    settings, _ = load_settings([*row.recipe, *pairs])
    recipe = settings.recipe(seed=0)
    (cosine,) = score_baselines(recipe, ("cosine",), ("test",), threads=1)
    labels = load_split(recipe.data, "test").labels
    assert labels is not None
    pearson, spearman = scores(cosine.predictions["test"], labels)
    return {"pearson": pearson, "spearman": spearman}


def by_training(row: Published, more: tuple[str, ...]) -> dict[str, float]:
    """The mean over the seeds of the best dev Pearson."""
    with tempfile.TemporaryDirectory() as folder:
        seeds = f"search.seeds={list(row.seeds)}".replace(" ", "")
        command = [sys.executable, "-m", "sweep", *row.recipe, *more, seeds, "name=published"]
        subprocess.run([*command, f"results_dir={folder}"], check=True)
        best = Path(folder) / "published" / "runs"
        outcomes = [json.loads(p.read_text("utf-8"))["outcome"] for p in best.glob("*/run.json")]
    found = [outcome["pearson"] for outcome in outcomes if outcome["pearson"] is not None]
    return {"pearson": sum(found) / len(found)}


def pairs_of(stsb: Path | None) -> tuple[str, ...]:
    """Overrides that read the STS benchmark's own files."""
    if stsb is None:
        return ()
    files = (f"data.{split}={stsb / f'sts-{split}.csv'}" for split in ("train", "dev", "test"))
    columns = ("data.text_a=5", "data.text_b=6", "data.label=4", "data.header=false")
    return ("data=files", *files, *columns)


def show(rows: list[Found]) -> None:
    table = Table("figure", "published", "found", "verdict", "source")
    for row in rows:
        told = [
            ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            for figures in (row.published, row.found)
        ]
        table.add_row(row.name, *told, row.verdict, row.source)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", help="names of rows; all of them unless told")
    parser.add_argument(
        "--list", action="store_true", help="say what there is, and compute nothing"
    )
    parser.add_argument("--stsb", type=Path, help="folder with the STS benchmark's files")
    parser.add_argument("--model", action="append", default=[], metavar="ROW=PLACE")
    args = parser.parse_args()
    places = dict(one.split("=", 1) for one in args.model)
    known = {row.name: row for row in REGISTRY}
    if unknown := [name for name in args.rows if name not in known]:
        parser.error(f"no row {unknown[0]}; there are {', '.join(known)}")
    chosen = [known[name] for name in args.rows] or list(REGISTRY)
    if args.list:
        show([Found(r.name, r.source, r.figures, {}, "not computed", r.remark) for r in chosen])
        return
    found: list[Found] = []
    for row in chosen:
        place = (f"model.path={places[row.name]}",) if row.name in places else ()
        is_stsb = "data=klue_sts" not in row.recipe
        more = (*(pairs_of(args.stsb) if is_stsb else ()), *place)
        try:
            figures = (by_cosine if row.how == "cosine" else by_training)(row, more)
            told = verdict(row, figures)
        except (SweepError, subprocess.CalledProcessError) as error:
            figures, told = {}, f"not computed: {str(error).splitlines()[0]}"
        found.append(Found(row.name, row.source, row.figures, figures, told, row.remark))
    show(found)
    print(write("published", {"rows": [asdict(row) for row in found]}))


if __name__ == "__main__":
    main()
