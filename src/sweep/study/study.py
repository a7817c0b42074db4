"""The one door to a study: `Study.open(folder)` gives what its files hold, as values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sweep.core.arrays import Floats
from sweep.core.errors import StudyError
from sweep.core.files import lost_or_damaged, read_floats
from sweep.core.metric import Metric
from sweep.data.findings import Guard
from sweep.loop.confirm import Confirming
from sweep.loop.pruning import PruningAudit, pruning_audit
from sweep.loop.trial import RunState
from sweep.stats.by_level import FactorScores
from sweep.stats.levels import Factor
from sweep.stats.verdict import Contender, Verdict
from sweep.study.baselines import Baselines, read_baselines
from sweep.study.effects_files import Effects, read_effects
from sweep.study.files import ExportedFiles, StudyFiles
from sweep.study.final_scores import FinalScores, read_final_scores
from sweep.study.kept_runs import read_records
from sweep.study.levels import as_searched, by_factor, most_separating
from sweep.study.looks import Looks, read_looks
from sweep.study.plan import Plan, read_plan
from sweep.study.rank_use import ModuleUse, read_rank_use
from sweep.study.ranking import Ranking
from sweep.study.reading import as_written, read_json
from sweep.study.record import Record, ended
from sweep.study.rows import ConfigRow, RunRow, read_configs, read_full_runs, read_runs
from sweep.study.scoring_costs import ScoringCosts, read_scoring_costs
from sweep.study.settings import StudySettings, read_settings
from sweep.study.tables import Results, read_confirming
from sweep.study.verdict_file import read_verdict


@dataclass(frozen=True)
class Study:
    """A study as it lies on the disk, finished, under way or begun.

    Files are read when they are first asked for, and once. What is not there yet is None or empty.
    """

    folder: Path
    settings: StudySettings

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Read what the study was begun with.

        Raises:
            StudyError: the folder holds no study, one of a newer program, or a damaged one.
        """
        return cls(folder, read_settings(StudyFiles(folder)))

    @property
    def files(self) -> StudyFiles:
        return StudyFiles(self.folder)

    @property
    def keys(self) -> tuple[str, ...]:
        """Searched keys, in the order of the space."""
        return self.settings.keys

    @property
    def metric(self) -> Metric:
        """That scores are of."""
        return self.settings.metric

    # -- runs ------------------------------------------------------------------------------------

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Of the runs that have ended, in the order of the trials."""
        return tuple(read_records(self.files))

    @cached_property
    def runs(self) -> tuple[RunRow, ...]:
        """All runs as the driver last wrote them, also those that wait or are under way."""
        with as_written(self.files.table):
            return read_runs(self.files, self.keys, self.metric)

    @cached_property
    def full_runs(self) -> tuple[RunRow, ...]:
        """Runs of full fine-tuning, beside LoRA's."""
        with as_written(self.files.table):
            return read_full_runs(self.files, self.keys, self.metric)

    @cached_property
    def num_in_state(self) -> dict[RunState, int]:
        """Runs by state; a state without runs counts 0."""
        return {state: sum(row.state is state for row in self.runs) for state in RunState}

    @cached_property
    def dev_labels(self) -> Floats:
        """`[N]`.

        Raises:
            StudyError: they are gone or damaged.
        """
        return read_floats(self.files.dev_labels)

    # -- the ranking -----------------------------------------------------------------------------

    @cached_property
    def leaderboard(self) -> tuple[ConfigRow, ...]:
        """The ranking as the driver last wrote it, best first."""
        with as_written(self.files.leaderboard):
            return read_configs(self.files, self.keys)

    @property
    def is_confirmed(self) -> bool:
        """Whether some configs are ranked by fresh seeds."""
        return any(row.confirmed for row in self.leaderboard)

    @property
    def tied(self) -> frozenset[str]:
        """Ids of the configs that can't be told from the best, itself among them."""
        return frozenset(row.config_id for row in self.leaderboard if row.tied_with_best)

    @cached_property
    def ranking(self) -> Ranking:
        """The same, computed from the records, with what it rests on."""
        return Ranking.of_records(
            self.records,
            self.folder,
            keys=self.keys,
            search_seeds=self.settings.seeds,
            confirming=self.confirmation,
            looks=self.looks,
        )

    def refuse_lost_records(self) -> None:
        """Without the record of a run that the table has, others would lead the ranking.

        Raises:
            StudyError: names the file that is gone or damaged.
        """
        known = {record.run.id for record in self.records}
        for row in self.runs:
            if row.state is RunState.COMPLETE and row.run_id not in known:
                raise StudyError(
                    "The records of a study's runs must be whole.",
                    value=lost_or_damaged(self.files.run(row.run_id).record),
                    way_out="the sweep's own command trains such a run again",
                )

    @cached_property
    def verdict(self) -> Verdict | None:
        """As the driver last wrote it; None before the first score."""
        return read_verdict(self.files)

    @property
    def recommended(self) -> Contender:
        """The config to use: the one that the verdict names, else the first of the ranking."""
        named = self.verdict.recommended if self.verdict else None
        first = self.ranking.contenders[0]
        return next((c for c in self.ranking.contenders if c.config_id == named), first)

    @cached_property
    def confirmation(self) -> Confirming | None:
        """What the sweep has begun to confirm."""
        return read_confirming(self.files)

    @cached_property
    def looks(self) -> Looks:
        """Verdicts that were shown while the study grew."""
        return read_looks(self.files)

    # -- what the settings do --------------------------------------------------------------------

    @cached_property
    def effects(self) -> Effects:
        """As the driver last wrote them, with how sure they are."""
        return read_effects(self.files)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Searched keys with several scored values, by the configs of the leaderboard; the one
        that separates the scores most comes first."""
        return most_separating(self.leaderboard, self.keys, self.searched)

    @cached_property
    def searched(self) -> tuple[ConfigRow, ...]:
        """The configs as the search scored them, its best first."""
        return as_searched(self.leaderboard)

    @cached_property
    def searched_factors(self) -> tuple[FactorScores, ...]:
        """What the search's scores say of each factor, by the configs of `searched`."""
        return by_factor(self.searched, self.keys)

    # -- what was found out beside it ------------------------------------------------------------

    @cached_property
    def guard(self) -> Guard | None:
        """What was found in the pairs before training."""
        return read_json(self.files.guard, Guard, otherwise="nothing is said of the pairs")

    @cached_property
    def plan(self) -> Plan | None:
        return read_plan(self.folder)

    @cached_property
    def pruning(self) -> PruningAudit | None:
        """What it saved, and what it cost; None where no run was pruned."""
        return pruning_audit(ended(self.records), self.tied)

    @cached_property
    def test_scores(self) -> FinalScores | None:
        """On pairs that were set aside."""
        return read_final_scores(self.files, self.metric)

    @cached_property
    def baselines(self) -> Baselines | None:
        """What the frozen base scores without LoRA."""
        return read_baselines(self.files, self.metric)

    @cached_property
    def rank_use(self) -> tuple[ModuleUse, ...]:
        """How much of its rank each kept adapter uses, by module."""
        return read_rank_use(self.files)

    @cached_property
    def scoring_costs(self) -> ScoringCosts | None:
        """What scoring takes in each form of the exported best, where that was measured."""
        return read_scoring_costs(ExportedFiles(self.files.best))

    def results(self) -> Results:
        """To write the tables again, from the records."""
        return Results(
            self.folder,
            searched_keys=self.keys,
            versions=self.settings.versions,
            objectives=self.settings.objectives,
            search_seeds=self.settings.seeds,
            baseline=self.settings.baseline,
            metric=self.metric,
        )
