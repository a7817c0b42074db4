"""Two studies of one task beside each other: their chosen configs, paired on the dev pairs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.files import lost_or_damaged, read_floats
from sweep.core.recipe import Recipe
from sweep.stats.paired import Interval, difference_of_studies
from sweep.stats.statistics import Sample, compare
from sweep.study.folder import settings_of
from sweep.study.ranking import seed_luck, words
from sweep.watch.console import compact, duration, setting


@dataclass(frozen=True, eq=False)
class ChosenConfig:
    """The config that a study chose, with the dev predictions of the runs that its place in the
    leaderboard rests on."""

    folder: Path
    model: str
    row: dict[str, Any]
    words: str
    sample: Sample
    #: The configs of the study that have several seeds, which tell how far those matter.
    several_seeds: tuple[Sample, ...]
    labels: Floats
    #: Hash of the dev pairs, texts and labels; None where the study is too old to know it.
    dev: str | None


def show_comparison(one: Path, other: Path, console: Console) -> None:
    """Print a row for each study, and in words whether one is better.

    Raises:
        StudyError: a folder holds no study or no score, or their dev pairs differ.
    """
    contenders = _contender(one), _contender(other)
    _refuse_other_pairs(*contenders)
    console.print(_table(contenders))
    console.print()
    console.print(Text(verdict(*contenders)), soft_wrap=True)


def verdict(one: ChosenConfig, other: ChosenConfig) -> str:
    """Which config is better on these dev pairs, or that it can't be told."""
    gap = _gap(one, other)
    if gap.ci_low <= 0 <= gap.ci_high:
        said = f"can't be told apart: {one.folder} minus {other.folder} is"
    else:
        first, second = (one, other) if gap.value > 0 else (other, one)
        gap = _gap(first, second)
        said = f"{first.folder} is better than {second.folder} by"
    blind = [str(study.folder) for study in (one, other) if not study.several_seeds]
    unknown = "; one seed each, so luck of the seed is not in it" if len(blind) == 2 else ""
    if len(blind) == 1:
        unknown = f"; the luck of the seed is not in it for {blind[0]}, with one seed each"
    size = f"{gap.in_words(signed=True)} dev Pearson, paired on {len(one.labels):,} pairs"
    return f"verdict  {said} {size}{unknown}"


def _gap(one: ChosenConfig, other: ChosenConfig) -> Interval:
    luck = (one.several_seeds, other.several_seeds)
    return difference_of_studies(one.sample, other.sample, one.labels, luck=luck)


def _contender(folder: Path) -> ChosenConfig:
    settings = settings_of(folder)
    board, table = (_csv(folder / name) for name in ("leaderboard.csv", "table.csv"))
    if board.empty or table.empty:
        raise StudyError("Only studies with a finished run can be compared.", value=str(folder))
    row = _chosen(folder, board)
    complete = table[table["state"] == "complete"]
    is_confirmed = row.get("confirmed") is True
    # As in the study's own verdict: of the confirmed configs, where there are any.
    judged = board["config_id"][board["confirmed"]] if is_confirmed else board["config_id"]
    by_config = {
        str(name): list(known)
        for name, known in complete.groupby("config_id")["seed"]
        if name in set(judged)
    }
    runs = complete[complete["config_id"] == row["config_id"]]
    last = max(settings.get("search", {}).get("seeds", [0]))
    seeds = tuple(seed for seed in runs["seed"] if (seed > last) == is_confirmed)
    keys = [column for column in board.columns if "." in column]
    names = [f"{row['config_id']}-s{seed}" for seed in seeds]
    return ChosenConfig(
        folder,
        str(row.get("model.path") or settings["model"]["path"]),
        row,
        words(_recipe(folder / "runs" / names[0] / "run.json"), keys),
        Sample(seeds, np.stack([_predictions(folder, name) for name in names])),
        tuple(seed_luck(by_config, folder)),
        read_floats(folder / "dev_labels.npy"),
        settings.get("fingerprints", {}).get("dev"),
    )


def _predictions(folder: Path, run_id: str) -> Floats:
    return read_floats(folder / "runs" / run_id / "predictions.npy")


def _chosen(folder: Path, board: pd.DataFrame) -> dict[str, Any]:
    """The recommended config where a verdict names one, else the best."""
    rows = {str(row["config_id"]): row for row in board.to_dict("records")}
    try:
        content = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        named = content.get("recommended") or content.get("best")
    except (OSError, ValueError):
        named = None
    first = next(iter(rows.values()))
    return {str(key): value for key, value in rows.get(str(named), first).items()}


def _refuse_other_pairs(one: ChosenConfig, other: ChosenConfig) -> None:
    same_labels = np.array_equal(one.labels, other.labels)
    same_texts = None in (one.dev, other.dev) or one.dev == other.dev
    if same_labels and same_texts:
        return
    sizes = f"{len(one.labels):,} and {len(other.labels):,} dev pairs"
    raise StudyError(
        "Only scores on the same dev pairs can be compared.",
        value=f"{sizes}, {'with other texts' if same_labels else 'with other scores'}",
        way_out="run both with the same `data.dev`, `data.max_dev_rows` and `data.seed`",
    )


def _table(contenders: tuple[ChosenConfig, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("study", "model", "config", "seeds", "Pearson", "95 % interval", "LoRA", "s"):
        is_text = name in ("study", "model", "config")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for c in contenders:
        found = compare([c.sample], c.labels)
        low, high = found.intervals()[0]
        table.add_row(
            *(Text(text) for text in (c.folder.name, setting(c.model), c.words)),
            str(len(c.sample.seeds)),
            f"{found.means[0]:.4f}",
            f"{low:.3f} {high:.3f}",
            compact(int(c.row["lora_params"])),
            duration(float(c.row["train_seconds"])),
        )
    return table


def _recipe(path: Path) -> Recipe:
    try:
        return Recipe.from_dict(json.loads(path.read_text(encoding="utf-8"))["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StudyError(
            "Only studies whose `runs/` are whole can be compared.",
            value=lost_or_damaged(path),
            way_out="the sweep's own command trains such a run again",
        ) from None


def _csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"config_id": str}) if path.is_file() else pd.DataFrame()
