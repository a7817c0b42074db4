"""The final score: `data.test` and held-out rows, scored once, after the search.

Nothing before the export reads their labels. `test.json` keeps what was found; the next start
shows it again as long as the same adapter is exported, and compared by the same runs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.files import read_floats, write_text
from sweep.core.recipe import Data
from sweep.data.pairs import Pairs, Split, load_split
from sweep.export.scoring import Predictions, Scoring, Trained
from sweep.loop.trial import Run
from sweep.stats.paired import Interval, SeedLuck, mean_pearson, paired_difference
from sweep.stats.statistics import Sample
from sweep.study.ranking import seed_luck
from sweep.train.keeper import scores

_FILE = "test.json"
_NAMES: dict[Split, str] = {"test": "test", "holdout": "held out"}


@dataclass(frozen=True)
class SplitScore:
    """One split. `adapter` is the exported one, `config` the mean over the runs of its config.

    `baseline` is the mean over the runs of the study's base settings, where they were trained, and
    `difference` is `config` minus `baseline`, paired on the items, with the luck of the seeds;
    None, too, where the exported config is the base settings.
    """

    split: Split
    digest: str
    rows: int
    adapter: Interval
    spearman: float
    config: Interval
    num_runs: int
    baseline: Interval | None
    difference: Interval | None

    def in_words(self) -> str:
        """One line."""
        line = f"{_NAMES[self.split]:8} Pearson {self.adapter.in_words()} on {self.rows:,} pairs"
        if self.num_runs > 1:
            line += f"; mean of {self.num_runs} seeds {self.config.value:.4f}"
        if self.baseline is not None and self.difference is not None:
            line += f"; base settings {self.baseline.value:.4f}, "
            line += f"difference {self.difference.in_words(signed=True)}"
        return line


@dataclass(frozen=True)
class FinalScores:
    """What `test.json` holds. `looks` counts the adapters that were exported and scored so.

    `config_runs` and `baseline_runs` are the ids of the runs that the means are of.
    """

    config_id: str
    run_id: str
    baseline_id: str | None
    looks: int
    splits: tuple[SplitScore, ...]
    config_runs: tuple[str, ...]
    baseline_runs: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        lines = [scored.in_words() for scored in self.splits]
        if self.looks > 1:
            lines.append(
                f"         {self.looks} adapters of this study were scored on these pairs so far: "
                "to choose among them by that would flatter"
            )
        return lines

    def to_json(self) -> dict[str, Any]:
        """With the sentences, and a row for each model and split, as the report shows them."""
        rows: dict[str, Any] = {}
        for scored in self.splits:
            # Of several seeds the mean: one adapter beside a mean would compare unlike things.
            models = {
                "exported": (self.config_id, scored.config),
                "baseline": (self.baseline_id, scored.baseline),
            }
            rows |= {
                f"{name}_{scored.split}": _row(config_id, interval, pairs=scored.rows)
                for name, (config_id, interval) in models.items()
                if interval is not None
            }
        return {**dataclasses.asdict(self), **rows, "sentences": self.lines}


class FinalScoring:
    """What is to be scored on test and held-out pairs, and what comes of it.

    Args:
        folder: The study's; its `test.json` keeps what was found.
        exported: The run whose adapter is exported.
        complete: All runs with an adapter.
        baseline_id: The config of the study's base settings.
    """

    def __init__(
        self, folder: Path, exported: Run, complete: Sequence[Run], *, baseline_id: str
    ) -> None:
        self._folder, self._exported = folder, exported
        self._pairs = {
            split: load_split(exported.recipe.data, split)
            for split in splits_set_aside(exported.recipe.data)
        }
        self._earlier = stored_scores(folder)
        self._config, self._baseline = (
            [run for run in complete if run.recipe.config_id == config_id]
            for config_id in (exported.recipe.config_id, baseline_id)
        )
        self._baseline_id = baseline_id if self._baseline else None
        self._complete = complete
        self._is_known = self._has_been_scored()

    @property
    def wanted(self) -> list[Scoring]:
        """Nothing where an earlier start has scored the same adapter and runs on the same pairs."""
        if self._is_known:
            return []
        runs = {run.id: run for run in (self._exported, *self._config, *self._baseline)}
        adapters = [Trained.of(run, self._folder) for run in runs.values()]
        return [
            Scoring(_NAMES[split], pairs, tuple(adapters)) for split, pairs in self._pairs.items()
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
                    predictions[_NAMES[split]],
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
        text = json.dumps(found.to_json(), indent=2, ensure_ascii=False)
        write_text(self._folder / _FILE, text)
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


def stored_scores(folder: Path) -> FinalScores | None:
    """What an earlier start has found; a file that can't be read counts as none."""
    try:
        content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        splits = tuple(_scored_from(entry) for entry in content["splits"])
        named = {name: content[name] for name in ("config_id", "run_id", "baseline_id", "looks")}
        # Earlier versions did not name the runs, so theirs count as others.
        one, other = (tuple(content.get(name, ())) for name in ("config_runs", "baseline_runs"))
        return FinalScores(**named, splits=splits, config_runs=one, baseline_runs=other)
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
    adapter, best, base = (
        [by_run[run.id] for run in chosen] for chosen in ([exported], config, baseline)
    )
    return SplitScore(
        split=split,
        digest=pairs.digest(),
        rows=len(pairs),
        adapter=mean_pearson(adapter, pairs.labels),
        spearman=scores(adapter[0], pairs.labels)[1],
        config=mean_pearson(best, pairs.labels),
        num_runs=len(config),
        baseline=mean_pearson(base, pairs.labels) if base else None,
        difference=(
            paired_difference(
                _sample(config, best), _sample(baseline, base), pairs.labels, luck=luck
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
        labels = read_floats(folder / "dev_labels.npy")
    except StudyError:
        return None
    samples = seed_luck({i: s for i, s in seeds.items() if len(s) >= fewest}, folder)
    return SeedLuck(tuple(samples), labels) if samples else None


def _sample(runs: Sequence[Run], predictions: Sequence[Floats]) -> Sample:
    return Sample(tuple(run.recipe.seed for run in runs), np.stack(predictions))


def _row(config_id: str | None, interval: Interval, *, pairs: int) -> dict[str, Any]:
    score = {"pearson": interval.value, "ci_low": interval.ci_low, "ci_high": interval.ci_high}
    return {"config_id": config_id, **score, "pairs": pairs}


def _scored_from(entry: dict[str, Any]) -> SplitScore:
    intervals = {
        name: Interval(**entry[name]) if entry[name] else None
        for name in ("adapter", "config", "baseline", "difference")
    }
    return SplitScore(**{**entry, **intervals})
