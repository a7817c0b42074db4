"""The study's records, and the tables derived from them.

The record of each run is the truth. The table (a row per run) and the leaderboard (a row per
config) are derived from it and may be deleted. Everything is written to a temporary name and moved
into place, so that a reader never meets half a file.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from sweep.core.files import write_text
from sweep.core.metric import PEARSON as PEARSON_METRIC
from sweep.core.metric import Metric
from sweep.loop.confirm import Confirming
from sweep.loop.objectives import COSTS, PEARSON, Objective
from sweep.loop.trial import Event, Outcome, Run, RunState
from sweep.stats.pareto import pareto_front
from sweep.stats.verdict import Verdict
from sweep.study.baseline_rows import baseline_configs, baseline_runs
from sweep.study.baselines import Baselines, read_baselines
from sweep.study.files import StudyFiles
from sweep.study.keeping import KEEP_ALL, Adapters, Keep
from sweep.study.kept_runs import KeptRuns
from sweep.study.looks import read_looks, write_looks
from sweep.study.ranking import Ranking
from sweep.study.reading import read_json, to_csv, to_json
from sweep.study.record import Record
from sweep.study.rows import (
    ConfigRow,
    row_of,
    table_of_configs,
    table_of_runs,
)
from sweep.study.verdict_file import write_verdict


def read_confirming(files: StudyFiles) -> Confirming | None:
    """What a sweep has begun to confirm; what can't be read is told by the runs themselves."""
    return read_json(files.confirmation, Confirming, otherwise="the runs tell what is confirmed")


class Results:
    """Writes the records of one study and knows what is done.

    Args:
        folder: The study's folder.
        searched_keys: Dotted keys that get a column of their own.
        versions: Versions of the libraries, kept with every run.
        objectives: What is sought; with several, the leaderboard shows the Pareto front.
        search_seeds: Runs on later seeds are confirmation runs; None: there are none.
        baseline: `config_id` of the config to beat, if there is one.
        metric: That scores are of.
        keep: Which adapters are let go once their runs have ended: none of them, unless told.
    """

    def __init__(
        self,
        folder: Path,
        *,
        searched_keys: Sequence[str],
        versions: Mapping[str, str],
        objectives: Sequence[Objective] = (PEARSON,),
        search_seeds: Collection[int] | None = None,
        baseline: str | None = None,
        metric: Metric = PEARSON_METRIC,
        keep: Keep = KEEP_ALL,
    ) -> None:
        self.folder = folder
        self.files = StudyFiles(folder)
        self._search_seeds = search_seeds
        self._baseline = baseline
        self.metric = metric
        self.keys = tuple(searched_keys)
        self._objectives = tuple(objectives)
        self._next_write = 0.0
        self._confirming = read_confirming(self.files)
        self._looks = read_looks(self.files)
        self._kept = KeptRuns(self.files, versions)
        self._adapters = Adapters(self.files, keep)
        #: Of full fine-tuning: beside LoRA, in no ranking.
        self.full = KeptRuns(self.files.full, versions)

    def done(self, run_id: str) -> Outcome | None:
        return self._kept.done(run_id)

    def finished(self) -> list[tuple[Run, Outcome]]:
        return self._kept.finished()

    def lost(self) -> set[str]:
        """Ids of the runs that were begun, and of which nothing can be read."""
        return self._kept.lost()

    def add(self, run: Run) -> None:
        self._kept.add(run)
        self.keep_tables_live()

    def set_wandb_url(self, run_id: str, url: str) -> None:
        """Remember where the run can be seen."""
        self._kept.change(run_id, wandb_url=url)

    def handle(self, event: Event) -> None:
        self._kept.handle(event)
        self.keep_tables_live()

    def confirms(self, confirming: Confirming) -> None:
        self._confirming = confirming
        write_text(self.files.confirmation, to_json(confirming))

    def close(self) -> None:
        """Put unfinished runs back in the queue and write the tables."""
        self._kept.put_back()
        self.write_tables()

    def write_tables(self) -> None:
        """Write table, leaderboard and verdict."""
        ranking = self.ranking()
        write_text(self.files.table, to_csv(self.table()))
        baselines = baseline_configs(self.baselines(), self.keys)
        rows = self._configs(ranking)
        leaderboard = table_of_configs(rows, self.keys, beside=baselines)
        write_text(self.files.leaderboard, to_csv(leaderboard))
        verdict = ranking.verdict(baseline=self._baseline)
        if verdict is not None:
            write_verdict(self.files, verdict)
        self._let_go(rows, verdict)

    def _let_go(self, rows: Sequence[ConfigRow], verdict: Verdict | None) -> None:
        """Of adapters that nobody is going to ask for, as far as the ranking tells so far."""
        confirmed = self._confirming.config_ids if self._confirming else ()
        recommended = verdict.recommended if verdict else None
        self._adapters.let_go(self.records(), rows, also=(self._baseline, recommended, *confirmed))

    def table(self) -> pd.DataFrame:
        """A row per run, in the order of the trials; missing values are empty."""
        baselines = baseline_runs(self.baselines(), self.full.records(), self.keys)
        rows = [row_of(record, self.keys) for record in self.records()]
        return table_of_runs(rows, self.keys, beside=baselines, metric=self.metric)

    def baselines(self) -> Baselines | None:
        """What an earlier look at them has found."""
        return read_baselines(self.files, self.metric)

    def leaderboard(self) -> pd.DataFrame:
        """A row per config with at least one score, best first."""
        return table_of_configs(self.configs(), self.keys)

    def configs(self) -> list[ConfigRow]:
        """Configs with at least one score, best first: confirmed configs, then those with enough
        seeds, then by mean."""
        return self._configs(self.ranking())

    def _configs(self, ranking: Ranking) -> list[ConfigRow]:
        rows = self._with_sizes(ranking.rows(self.keys))
        return self._with_front(rows) if len(self._objectives) > 1 else rows

    def _with_sizes(self, rows: Sequence[ConfigRow]) -> list[ConfigRow]:
        """The rows with how much is trained in all."""
        sizes = {r.run.recipe.config_id: r.outcome.trained for r in self._scored() if r.outcome}
        return [dataclasses.replace(row, trained_params=sizes.get(row.config_id)) for row in rows]

    def _with_front(self, rows: Sequence[ConfigRow]) -> list[ConfigRow]:
        """The rows with what is sought, where they lack it, and who is on the front.

        The score is the mean that is shown: after a confirmation, that of the fresh seeds.
        """
        found: dict[str, list[Outcome]] = {}
        for record in self._scored():
            if record.outcome is not None:
                found.setdefault(record.run.recipe.config_id, []).append(record.outcome)
        values = [
            {
                o.name: row.mean if o.is_score else o.of(found[row.config_id])
                for o in self._objectives
            }
            for row in rows
        ]
        front = pareto_front(
            [[math.nan if v is None else v for v in value.values()] for value in values],
            larger_is_better=[objective.direction == "max" for objective in self._objectives],
        )
        return [
            dataclasses.replace(row, measures=_beside(row, value), pareto=is_on_it)
            for row, value, is_on_it in zip(rows, values, front, strict=True)
        ]

    def verdict(self) -> Verdict | None:
        """Best, ties, recommendation, in numbers and words; None before the first score."""
        return self.ranking().verdict(baseline=self._baseline)

    def ranking(self) -> Ranking:
        return Ranking.of_records(
            self.records(),
            self.folder,
            keys=self.keys,
            search_seeds=self._search_seeds,
            confirming=self._confirming,
            looks=self._looks,
        )

    def search_ranking(self) -> Ranking:
        """By the search's runs alone, also where others confirm the leaders."""
        whole = self.ranking()
        return Ranking.of_the_search(
            self.records(),
            self.folder,
            keys=self.keys,
            search_seeds=self._search_seeds,
            luck=whole.several_seeds,
            looks=whole.looks,
        )

    def looked_at(self) -> None:
        """Keep that somebody is shown the verdict; the same one again is no other look."""
        verdict = self.verdict()
        if verdict is not None:
            self._looks = self._looks.with_one(self.records(), verdict, self.files)
            write_looks(self.files, self._looks)

    def best_run(self, config_id: str | None = None) -> Run | None:
        """The best run of a config; of the recommended one, if none is named."""
        verdict = None if config_id else self.verdict()
        wanted = verdict.recommended if verdict else config_id
        runs = [r for r in self._scored() if r.run.recipe.config_id == wanted]
        return max(runs, key=_score).run if runs else None

    def records(self) -> list[Record]:
        """All records in the order of the trials."""
        return self._kept.records()

    def _scored(self) -> list[Record]:
        return [r for r in self.records() if r.state is RunState.COMPLETE and r.outcome]

    def keep_tables_live(self) -> None:
        """Write the tables, for no more than a twentieth of the time, however long they get."""
        start = time.monotonic()
        if start < self._next_write:
            return
        self.write_tables()
        end = time.monotonic()
        self._next_write = end + max(1.0, 20 * (end - start))


def _beside(row: ConfigRow, values: Mapping[str, float | None]) -> dict[str, float | None]:
    """What is sought and has no column of its own."""
    own = {field.name for field in dataclasses.fields(row)}
    return {name: v for name, v in values.items() if name in COSTS and name not in own}


def _score(record: Record) -> float:
    assert record.outcome is not None
    assert record.outcome.score is not None
    return record.outcome.score
