"""The final score: `data.test` and held-out rows, scored once, after the search.

Nothing before the export reads their labels. The study keeps what was found; the next start
shows it again as long as the same adapter is exported, and compared by the same runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.files import read_floats
from sweep.core.recipe import Data
from sweep.data.findings import Split
from sweep.data.pairs import Pairs, load_split
from sweep.export.scoring import Predictions, Scoring, Trained
from sweep.loop.trial import Run
from sweep.stats.paired import SeedLuck, mean_score, paired_difference
from sweep.stats.statistics import Sample
from sweep.study.files import StudyFiles
from sweep.study.final_scores import (
    SPLIT_NAMES,
    FinalScores,
    SplitScore,
    read_final_scores,
    write_final_scores,
)
from sweep.study.samples import seed_luck
from sweep.train.scores import scores


class FinalScoring:
    """What is to be scored on test and held-out pairs, and what comes of it.

    Args:
        folder: The study's, which keeps what was found.
        exported: The run whose adapter is exported.
        complete: All runs with an adapter.
        baseline_id: The config of the study's base settings.
    """

    def __init__(
        self, folder: Path, exported: Run, complete: Sequence[Run], *, baseline_id: str
    ) -> None:
        self._folder, self._exported = folder, exported
        self._metric = exported.recipe.task.measure
        self._pairs = {
            split: load_split(exported.recipe.data, split)
            for split in splits_set_aside(exported.recipe.data)
        }
        self._earlier = read_final_scores(StudyFiles(folder), self._metric)
        self._config, self._baseline = (
            [run for run in complete if run.recipe.config_id == config_id]
            for config_id in (exported.recipe.config_id, baseline_id)
        )
        self._baseline_id = baseline_id if self._baseline else None
        self._complete = complete
        self._is_known = self._has_been_scored()

    @property
    def runs(self) -> list[Run]:
        """Whose adapters are wanted."""
        return [adapter.run for scoring in self.wanted for adapter in scoring.adapters]

    @property
    def wanted(self) -> list[Scoring]:
        """Nothing where an earlier start has scored the same adapter and runs on the same pairs."""
        if self._is_known:
            return []
        runs = {run.id: run for run in (self._exported, *self._config, *self._baseline)}
        adapters = [Trained.of(run, self._folder) for run in runs.values()]
        return [
            Scoring(SPLIT_NAMES[split], pairs, tuple(adapters))
            for split, pairs in self._pairs.items()
        ]

    def scores(self, predictions: Predictions) -> FinalScores | None:
        """From the predictions that were `wanted`; None where nothing was set aside."""
        if self._is_known:
            return self._earlier
        if not self._pairs:
            return None
        fewest = max(2, min(len(self._config), len(self._baseline)))
        luck = _seed_luck(self._complete, self._folder, fewest=fewest)
        found = FinalScores(
            self._exported.recipe.config_id,
            self._exported.id,
            self._baseline_id,
            self._looks(),
            tuple(
                _scored(
                    split,
                    pairs,
                    predictions[SPLIT_NAMES[split]],
                    self._exported,
                    config=self._config,
                    baseline=self._baseline,
                    luck=luck,
                )
                for split, pairs in self._pairs.items()
            ),
            _ids(self._config),
            _ids(self._baseline),
        )
        write_final_scores(StudyFiles(self._folder), found, self._metric)
        return found

    def _has_been_scored(self) -> bool:
        """By an earlier start. A study may have gained seeds or its base settings since then."""
        earlier = self._earlier
        if earlier is None or not self._pairs:
            return False
        digests = {split: pairs.digest() for split, pairs in self._pairs.items()}
        runs = (_ids(self._config), _ids(self._baseline))
        return (
            earlier.run_id == self._exported.id
            and {scored.split: scored.digest for scored in earlier.splits} == digests
            and (earlier.config_runs, earlier.baseline_runs) == runs
        )

    def _looks(self) -> int:
        """More seeds beside the same adapter are no further choice among adapters."""
        if self._earlier is None:
            return 1
        return self._earlier.looks + (self._earlier.run_id != self._exported.id)


def splits_set_aside(data: Data) -> list[Split]:
    """What there is beside train and dev."""
    there: dict[Split, object] = {"test": data.test, "holdout": data.holdout}
    return [split for split, named in there.items() if named]


def _ids(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(sorted(run.id for run in runs))


def _scored(
    split: Split,
    pairs: Pairs,
    by_run: Mapping[str, Floats],
    exported: Run,
    *,
    config: Sequence[Run],
    baseline: Sequence[Run],
    luck: SeedLuck | None,
) -> SplitScore:
    """Compare the predictions of both configs' runs, given by run id."""
    assert pairs.labels is not None
    metric = exported.recipe.task.measure
    adapter, best, base = (
        [by_run[run.id] for run in chosen] for chosen in ([exported], config, baseline)
    )
    return SplitScore(
        split=split,
        digest=pairs.digest(),
        rows=len(pairs),
        adapter=mean_score(adapter, pairs.labels, metric),
        beside=scores(adapter[0], pairs.labels, metric)[1],
        config=mean_score(best, pairs.labels, metric),
        num_runs=len(config),
        baseline=mean_score(base, pairs.labels, metric) if base else None,
        difference=(
            paired_difference(
                _sample(config, best),
                _sample(baseline, base),
                pairs.labels,
                luck=luck,
                metric=metric,
            )
            if base and _ids(config) != _ids(baseline)
            else None
        ),
    )


def _seed_luck(complete: Sequence[Run], folder: Path, *, fewest: int) -> SeedLuck | None:
    """As the dev pairs tell it: more configs were scored there than on these pairs.

    Args:
        fewest: Seeds of a config that counts: those who fell behind early are not like the leaders.
    """
    seeds: dict[str, list[int]] = {}
    for run in complete:
        seeds.setdefault(run.recipe.config_id, []).append(run.recipe.seed)
    try:
        labels = read_floats(StudyFiles(folder).dev_labels)
    except StudyError:
        return None
    samples = seed_luck({i: s for i, s in seeds.items() if len(s) >= fewest}, folder)
    return SeedLuck(tuple(samples), labels) if samples else None


def _sample(runs: Sequence[Run], predictions: Sequence[Floats]) -> Sample:
    seeds = tuple(run.recipe.seed for run in runs)
    return Sample(seeds, np.stack(predictions), runs[0].recipe.config_id)
