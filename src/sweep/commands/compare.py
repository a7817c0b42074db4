"""`compare`: two studies of one task beside each other, by the configs that they chose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweep.core.errors import StudyError
from sweep.core.words import compact, duration, score_range, value_text
from sweep.stats.studies import ChosenConfig, lead_in_words
from sweep.stats.verdict import Contender
from sweep.study.study import Study


@dataclass(frozen=True, eq=False)
class Side:
    """A study and the config that it chose."""

    study: Study
    config: Contender
    chosen: ChosenConfig

    @property
    def model(self) -> str:
        return self.study.ranking.recipes[self.config.config_id].model.path


def show_comparison(one: Path, other: Path, console: Console) -> None:
    """Print a row for each study, and in words whether one is better.

    Raises:
        StudyError: as for `sides_of`.
    """
    sides = sides_of(one, other)
    console.print(_table(sides))
    console.print()
    said = lead_in_words(*(side.chosen for side in sides))
    console.print(Text(f"verdict  {said}"), soft_wrap=True)


def sides_of(one: Path, other: Path) -> tuple[Side, Side]:
    """Both studies, each with the config that it chose.

    Raises:
        StudyError: a folder holds no study or no score, or their dev pairs or metrics differ.
    """
    sides = _side(one), _side(other)
    _refuse_other_pairs(*sides)
    return sides


def _side(folder: Path) -> Side:
    study = Study.open(folder)
    study.refuse_lost_records()
    if not study.ranking.contenders:
        raise StudyError("Only studies with a finished run can be compared.", value=str(folder))
    config = study.recommended
    return Side(
        study,
        config,
        ChosenConfig(
            str(folder),
            study.ranking.sample(config),
            study.ranking.several_seeds,
            study.dev_labels,
            study.metric,
        ),
    )


def _refuse_other_pairs(one: Side, other: Side) -> None:
    if one.chosen.metric != other.chosen.metric:
        raise StudyError(
            "Only scores of one metric can be compared.",
            value=f"{one.chosen.metric.name} and {other.chosen.metric.name}",
            way_out="run both with the same `task.metric`",
        )
    labels = one.chosen.labels, other.chosen.labels
    # A hash of texts and labels; a study that is too old does not know it.
    known = [side.study.settings.fingerprints.get("dev") for side in (one, other)]
    same_labels = np.array_equal(*labels)
    if same_labels and (None in known or known[0] == known[1]):
        return
    sizes = f"{len(labels[0]):,} and {len(labels[1]):,} dev pairs"
    raise StudyError(
        "Only scores on the same dev pairs can be compared.",
        value=f"{sizes}, {'with other texts' if same_labels else 'with other scores'}",
        way_out="run both with the same `data.dev`, `data.max_dev_rows` and `data.seed`",
    )


def _table(sides: tuple[Side, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    metric = sides[0].chosen.metric.word
    for name in ("study", "model", "config", "seeds", metric, "95 % interval", "LoRA", "s"):
        is_text = name in ("study", "model", "config")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for side in sides:
        score, config = side.chosen.score, side.config
        texts = side.study.folder.name, value_text(side.model), config.label
        table.add_row(
            *map(Text, texts),
            str(len(config.seeds)),
            f"{score.value:.4f}",
            score_range(score.ci_low, score.ci_high),
            "" if config.lora_params is None else compact(config.lora_params),
            "" if config.train_seconds is None else duration(config.train_seconds),
        )
    return table
