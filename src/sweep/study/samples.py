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
from sweep.core.metric import PEARSON, Metric
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
    found: list[Sample] = []
    with suppress(StudyError):
        labels = dev_labels(folder)
        for config_id, known in seeds.items():
            if len(known) > 1:
                with suppress(StudyError):
                    found.append(sample_of(config_id, folder, sorted(known), of=labels))
    return found


def comparison_of(
    group: Sequence[Contender],
    folder: Path,
    *,
    num_rivals: int,
    luck: Sequence[Sample] = (),
    looks: int = 1,
    metric: Metric = PEARSON,
) -> Comparison | None:
    """None where predictions are not at hand.

    Args:
        luck: Configs that tell the luck of the seed with all of their runs, the group's among them.
        looks: How often the study was looked at, this time included.
    """
    path = StudyFiles(folder).dev_labels
    if not group or not path.exists():
        return None
    try:
        labels = read_floats(path)
        samples = [sample_of(c.config_id, folder, c.seeds, of=labels) for c in group]
    except StudyError as error:
        logger.warning("No intervals in the leaderboard: %s", error.value)
        return None
    noise_from = list(luck) or None
    return compare(
        samples,
        labels,
        num_rivals=num_rivals,
        noise_from=noise_from,
        looks=looks,
        metric=metric,
    )


def dev_labels(folder: Path) -> Floats | None:
    """Labels `[N]` of the study in this folder; None where it has kept none."""
    path = StudyFiles(folder).dev_labels
    return read_floats(path) if path.exists() else None


def sample_of(
    config_id: str, folder: Path, seeds: Sequence[int], *, of: Floats | None = None
) -> Sample:
    """Dev predictions of a config on these seeds.

    Args:
        of: The labels `[N]` that they are predictions of; None where nobody compares them.

    Raises:
        StudyError: some are gone, damaged, or of other pairs.
    """
    runs = [StudyFiles(folder).run(f"{config_id}-s{seed}") for seed in seeds]
    found = [read_floats(run.predictions) for run in runs]
    wanted = found[0] if of is None else of
    for run, predictions in zip(runs, found, strict=True):
        if len(predictions) != len(wanted):
            raise StudyError(
                "Predictions that a study has kept must be of its dev pairs.",
                value=f"{run.predictions} has {len(predictions):,}, not {len(wanted):,}",
                way_out="bring the file back from a copy of the study",
            )
    return Sample(tuple(seeds), np.stack(found), config_id)
