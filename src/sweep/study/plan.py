"""What a sweep is expected to take, and in the end what it took: `plan.json` in the study's folder.

The time and the peak memory of one run of every config, interpolated between a cheap and an
expensive one that were trained for a few steps each. One config's figures count for all its seeds.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from sweep.core.files import write_text
from sweep.core.words import counted, duration
from sweep.loop.trial import Outcome, RunState
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json
from sweep.study.record import Record


@dataclass(frozen=True)
class PlannedConfig:
    """One config: what one of its runs is expected to take, and what they took (mean, and peak)."""

    config_id: str
    seconds: float
    #: Of the worker that trains it, base model included.
    peak_memory_mb: float | None
    lora_params: int
    head_params: int
    measured_seconds: float | None = None
    measured_peak_memory_mb: float | None = None
    #: Of the frozen base alone.
    base_memory_mb: float | None = None

    @property
    def seconds_error(self) -> float | None:
        """Share by which the expectation was off, with its sign."""
        return _error(self.seconds, self.measured_seconds)

    @property
    def memory_error(self) -> float | None:
        return _error(self.peak_memory_mb, self.measured_peak_memory_mb)


@dataclass(frozen=True)
class Compared:
    """One quantity of one config, planned and measured."""

    config_id: str
    planned: float
    measured: float


@dataclass(frozen=True)
class PlannedFull:
    """Full fine-tuning beside the search: its runs, and what one of them and all take."""

    runs: int
    params: int
    run_seconds: float
    seconds: float
    peak_memory_mb: float | None
    disk_mb: float

    @property
    def line(self) -> str:
        memory = "" if self.peak_memory_mb is None else f", {self.peak_memory_mb:,.0f} MB a worker"
        return (
            f"       {counted(self.runs, 'run')} of {duration(self.run_seconds)}, about "
            f"{duration(self.seconds)} behind the search{memory}, {self.disk_mb:,.0f} MB on disk "
            "until they are scored; baselines.full=false leaves them out"
        )


@dataclass(frozen=True)
class Plan:
    """A sweep before it is trained; `seconds` is its training in all, on `workers`."""

    workers: int
    runs: int
    seconds: float
    #: Cells with the training of another, and cells that would not fit into memory.
    folded_cells: int
    infeasible_cells: int
    disk_mb: float
    configs: tuple[PlannedConfig, ...]
    full: PlannedFull | None = None

    @property
    def mean_errors(self) -> tuple[float | None, float | None]:
        """Mean absolute errors of time and memory, as shares of what was measured."""
        return (
            _mean_absolute([c.seconds_error for c in self.configs]),
            _mean_absolute([c.memory_error for c in self.configs]),
        )

    @property
    def compared_seconds(self) -> list[Compared]:
        """Of a run, where both are known."""
        found = [(c.config_id, c.seconds, c.measured_seconds) for c in self.configs]
        return _compared(found)

    @property
    def compared_memory(self) -> list[Compared]:
        """Peaks in MB, where both are known."""
        found = [(c.config_id, c.peak_memory_mb, c.measured_peak_memory_mb) for c in self.configs]
        return _compared(found)

    def with_measured(self, records: Sequence[Record]) -> Plan:
        """The plan beside what complete runs took."""
        outcomes: dict[str, list[Outcome]] = defaultdict(list)
        for record in records:
            if record.outcome is not None and record.state is RunState.COMPLETE:
                outcomes[record.run.recipe.config_id].append(record.outcome)
        configs = [_measured(c, outcomes[c.config_id]) for c in self.configs]
        return dataclasses.replace(self, configs=tuple(configs))

    def worker_seconds(self, records: Sequence[Record]) -> float:
        """What was trained, by each of the workers."""
        trained = [r.outcome.train_seconds or 0.0 for r in records if r.outcome is not None]
        return sum(trained) / max(self.workers, 1)


def middle_ratio(found: Sequence[Compared]) -> float:
    """How many times the plan was measured, of the config in the middle."""
    return median(one.measured / one.planned for one in found)


def write_plan(folder: Path, plan: Plan) -> None:
    seconds, memory = plan.mean_errors
    content = {
        **dataclasses.asdict(plan),
        "mean_absolute_error": {"seconds": seconds, "peak_memory_mb": memory},
    }
    write_text(StudyFiles(folder).plan, json.dumps(content, indent=2))


def read_plan(folder: Path) -> Plan | None:
    """The plan that was made for a study; None where there is none that can be read."""
    return read_json(StudyFiles(folder).plan, Plan, otherwise="the plan is left out")


def compare_with_plan(folder: Path, records: Sequence[Record]) -> list[str]:
    """Note in `plan.json` what was measured; a line about how far off the plan was."""
    plan = read_plan(folder)
    if plan is None:
        return []
    plan = plan.with_measured(records)
    seconds, memory = plan.mean_errors
    if seconds is None:
        return []
    write_plan(folder, plan)
    of_memory = "" if memory is None else f", its memory by {memory:.0%}"
    return [f"planned  the time of a run was off by {seconds:.0%}{of_memory} on average"]


def _compared(found: Sequence[tuple[str, float | None, float | None]]) -> list[Compared]:
    return [
        Compared(config_id, planned, measured)
        for config_id, planned, measured in found
        if planned and measured is not None
    ]


def _measured(config: PlannedConfig, outcomes: Sequence[Outcome]) -> PlannedConfig:
    seconds = [o.train_seconds for o in outcomes if o.train_seconds is not None]
    memory = [o.peak_memory_mb for o in outcomes if o.peak_memory_mb is not None]
    return dataclasses.replace(
        config,
        measured_seconds=fmean(seconds) if seconds else None,
        measured_peak_memory_mb=max(memory, default=None),
    )


def _error(expected: float | None, measured: float | None) -> float | None:
    return None if expected is None or not measured else expected / measured - 1


def _mean_absolute(errors: Sequence[float | None]) -> float | None:
    known = [abs(error) for error in errors if error is not None]
    return fmean(known) if known else None
