"""Dev predictions of a study's configs, as the statistics take them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.files import read_floats
from sweep.stats.comparison import Comparison
from sweep.stats.statistics import Sample, compare
from sweep.stats.verdict import Contender
from sweep.study.files import StudyFiles

logger = logging.getLogger(__name__)


def seed_luck(seeds: Mapping[str, Collection[int]], folder: Path) -> list[Sample]:
    """Dev predictions of the configs of a study that have several seeds.

    Args:
        seeds: With a complete run, by `config_id`.
        folder: The study's; a config whose predictions are not at hand is left out.
    """
    found = []
    for config_id, known in seeds.items():
        if len(known) > 1:
            with suppress(StudyError):
                ordered = tuple(sorted(known))
                found.append(Sample(ordered, predictions_of(config_id, folder, ordered)))
    return found


def comparison_of(
    group: Sequence[Contender], folder: Path, *, num_rivals: int, luck: Sequence[Sample] = ()
) -> Comparison | None:
    """None where predictions are not at hand.

    Args:
        luck: Configs that tell the luck of the seed where those of the group have one each.
    """
    path = StudyFiles(folder).dev_labels
    if not group or not path.exists():
        return None
    try:
        labels = read_floats(path)
        samples = [Sample(c.seeds, predictions_of(c.config_id, folder, c.seeds)) for c in group]
        has_several = any(len(c.all_seeds or c.seeds) > 1 for c in group)
        noise_from = _with_all_seeds(group, folder) if has_several else list(luck) or None
    except StudyError as error:
        logger.warning("No intervals in the leaderboard: %s", error.value)
        return None
    return compare(samples, labels, num_rivals=num_rivals, noise_from=noise_from)


def _with_all_seeds(group: Sequence[Contender], folder: Path) -> list[Sample] | None:
    """Confirmed configs with the runs of the search as well; None where there is nothing to add."""
    seeds = [c.all_seeds or c.seeds for c in group]
    if seeds == [c.seeds for c in group]:
        return None
    return [
        Sample(known, predictions_of(config.config_id, folder, known))
        for config, known in zip(group, seeds, strict=True)
    ]


def dev_labels(folder: Path) -> Floats | None:
    """Labels `[N]` of the study in this folder; None where it has kept none."""
    path = StudyFiles(folder).dev_labels
    return read_floats(path) if path.exists() else None


def predictions_of(config_id: str, folder: Path, seeds: Sequence[int]) -> Floats:
    runs = [StudyFiles(folder).run(f"{config_id}-s{seed}") for seed in seeds]
    return np.stack([read_floats(run.predictions) for run in runs])
