"""`cost.json` of an exported folder: what scoring pairs takes in each of its forms."""

from __future__ import annotations

from dataclasses import dataclass

from sweep.core.files import write_text
from sweep.core.metric import PEARSON
from sweep.core.words import counted
from sweep.stats.interval import Interval
from sweep.study.files import ExportedFiles
from sweep.study.reading import read_json, to_json

#: How each is called in tables.
_CALLED = {"adapter": "adapter on base", "adapter nf4": "adapter on nf4 base"}
#: Less than so many times the pairs a second is noise.
_GAIN = 1.1


@dataclass(frozen=True)
class Cost:
    """What a form takes on so many threads.

    Pairs a second are those of batches of like length; milliseconds are of one pair at a time,
    in the order of the file. `peak_mb` is what loading and scoring add to a process that has its
    libraries, `file_mb` the form on disk, without the base where it is an adapter; None is unknown.
    """

    name: str
    threads: int
    pairs_per_second: float
    median_ms: float
    p95_ms: float
    peak_mb: float | None
    file_mb: float | None

    @property
    def called(self) -> str:
        return _CALLED.get(self.name, self.name)

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of a table, as `HEADS` has it."""
        return (
            self.called,
            str(self.threads),
            f"{self.pairs_per_second:,.0f}",
            f"{self.median_ms:.1f}",
            f"{self.p95_ms:.1f}",
            "" if self.peak_mb is None else f"{self.peak_mb:,.0f}",
            "" if self.file_mb is None else f"{self.file_mb:.1f}",
        )


HEADS = ("form", "threads", "pairs/s", "ms a pair", "p95", "memory MB", "file MB")


@dataclass(frozen=True)
class ScoringCosts:
    """Of all forms, measured one after the other on one machine.

    `int8_change` is the score on dev in eight bits minus that of the adapter, by the metric of this
    name. `has_vnni` says whether the processor multiplies integers of eight bits at once; None is
    unknown.
    """

    costs: tuple[Cost, ...]
    processor: str = ""
    has_vnni: bool | None = None
    int8_change: Interval | None = None
    metric: str = PEARSON.word

    @property
    def on_threads(self) -> dict[int, tuple[Cost, ...]]:
        """By the number of threads, the fewest first."""
        numbers = sorted({cost.threads for cost in self.costs})
        return {n: tuple(cost for cost in self.costs if cost.threads == n) for n in numbers}

    @property
    def sentence(self) -> str:
        """What LoRA left as it was, what merging took away, what eight bits give and lose."""
        threads, costs = next(iter(self.on_threads.items()))
        known = {cost.name: cost for cost in costs}
        adapter, merged, int8 = (known.get(name) for name in ("adapter", "merged", "int8"))
        said = ["LoRA leaves the cost of scoring as that of the base"]
        if adapter and merged:
            times = merged.pairs_per_second / adapter.pairs_per_second
            said.append(f"merging makes it {times:.2f} times the adapter's pairs a second")
        if merged and int8:
            said.append(f"int8 {self._eight_bits(merged, int8)}")
        return f"{'; '.join(said)}. Measured on {counted(threads, 'thread')}{self._where}."

    @property
    def _where(self) -> str:
        return f" of {self.processor}" if self.processor else ""

    def _eight_bits(self, merged: Cost, int8: Cost) -> str:
        gain = int8.pairs_per_second / merged.pairs_per_second
        said = f"gives {gain:.2f} times merged"
        if gain < _GAIN:
            lacks = ", the processor has no VNNI" if self.has_vnni is False else ""
            said = f"gives no gain here ({gain:.2f} times merged{lacks})"
        if merged.file_mb and int8.file_mb:
            said += f" in {int8.file_mb / merged.file_mb:.0%} of its size"
        if self.int8_change is None:
            return said
        return f"{said}, at a dev {self.metric} of {self.int8_change.as_difference}"


def write_scoring_costs(files: ExportedFiles, costs: ScoringCosts) -> None:
    write_text(files.costs, to_json(costs))


def read_scoring_costs(files: ExportedFiles) -> ScoringCosts | None:
    """As they were last measured; None where they were not."""
    return read_json(files.costs, ScoringCosts, otherwise="nothing is said of what scoring takes")
