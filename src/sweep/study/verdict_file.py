"""`verdict.json`: which config to use and how sure that is, in numbers and sentences."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from sweep.core.files import write_text
from sweep.stats.interval import Interval
from sweep.stats.verdict import Verdict
from sweep.study.files import StudyFiles
from sweep.study.reading import read_json

#: Fields that hold a lead.
_LEADS = ("versus_baseline", "gives_up")


@dataclass(frozen=True)
class _Lead:
    """An interval, by the name that the file has always had for its value."""

    difference: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class _Kept:
    """The fields of a verdict as the file has them; those of older programs lack some."""

    best: str
    recommended: str
    baseline: str | None = None
    tie_set: tuple[str, ...] = ()
    beats_baseline: bool | None = None
    versus_baseline: _Lead | None = None
    seed_sd: float | None = None
    dev_sd: float | None = None
    confirmed: bool = False
    shrinkage: float | None = None
    expected_score: float | None = None
    gives_up: _Lead | None = None
    unsteady: dict[str, str] = field(default_factory=dict)
    looks: int = 1
    sentences: tuple[str, ...] = ()


def write_verdict(files: StudyFiles, verdict: Verdict) -> None:
    content = dataclasses.asdict(verdict)
    for name in _LEADS:
        lead: Interval | None = getattr(verdict, name)
        if lead is not None:
            content[name] = dataclasses.asdict(_Lead(lead.value, lead.ci_low, lead.ci_high))
    write_text(files.verdict, json.dumps(content, indent=2, ensure_ascii=False))


def read_verdict(files: StudyFiles) -> Verdict | None:
    """The verdict as the driver last wrote it; None before the first score."""
    kept = read_json(files.verdict, _Kept, otherwise="there is no verdict")
    if kept is None:
        return None
    fields = {field.name: getattr(kept, field.name) for field in dataclasses.fields(kept)}
    for name in _LEADS:
        if fields[name] is not None:
            fields[name] = Interval(*dataclasses.astuple(fields[name]))
    return Verdict(**fields)
