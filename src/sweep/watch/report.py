"""The report: one HTML file that opens offline, made from the files of the study's folder alone.

A section is one function and one line in `_SECTIONS`; it fills a `Section` with sentences,
plots, a table, commands or facts, and `report.html.j2` knows how each of these looks.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sweep.core.files import write_text
from sweep.core.ports import Totals
from sweep.core.trial import Event, Finished, Outcome, Run
from sweep.watch import report_figures as figures
from sweep.watch.report_figures import Factor, Figure, Match
from sweep.watch.report_study import TRAINING, Study, setting, short

#: Share of the sweep's time that rebuilding may take.
_LARGEST_SHARE = 0.05
_MAX_FAILURES = 100


def build_report(folder: Path) -> Path:
    """Write `report.html` of a study, finished or not, and return its path."""
    study = Study.read(folder)
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        study=study,
        sections=[s for section in _SECTIONS if (s := section(study)) is not None],
        built=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        figure_json=_figure_json,
        quote=quote,
        short=short,
        setting=setting,
        plotly_js=Markup(importlib.import_module("plotly.offline").get_plotlyjs()),
    )
    path = folder / "report.html"
    write_text(path, page)
    return path


class ReportWatcher:
    """Keeps the report of a running sweep fresh.

    Args:
        every_s: Shortest time between two builds; more where a build takes long, so that
            building never takes more than a twentieth of the time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_s: float = 20.0,
        build: Callable[[Path], object] = build_report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._every_s = every_s
        self._build = build
        self._clock = clock
        self._next = 0.0

    def opened(self, totals: Totals) -> None:
        """The first build waits for something to show."""
        self._next = self._clock()

    def planned(self, totals: Totals, reason: str | None) -> None:
        """The report shows what is there."""

    def run_event(self, run: Run, event: Event) -> None:
        if isinstance(event, Finished) and self._clock() >= self._next:
            self._rebuild()

    def run_reused(self, run: Run, outcome: Outcome) -> None:
        """Nothing new to show: the run is in the report of the earlier start."""

    def closed(self) -> None:
        self._rebuild()

    def _rebuild(self) -> None:
        start = self._clock()
        self._build(self._folder)
        end = self._clock()
        self._next = end + max(self._every_s, (end - start) / _LARGEST_SHARE)


@dataclass(frozen=True)
class Plot:
    """Figures that take turns in one place, by the name of their button."""

    title: str
    figures: Mapping[str, Figure]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of the page: facts, for which the template has a macro named `anchor`, and plots."""

    anchor: str
    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()


def _verdict(study: Study) -> Section:
    configs = study.configs
    if configs.empty:
        return Section("verdict", "Verdict", {"best": None})
    rows = configs.to_dict("records")
    tied = [row for row in rows if row["tied_with_best"] is True]
    # Of equally many parameters, the better score: seconds differ by chance as well.
    cheapest = min(tied, key=lambda row: (row["lora_params"], row["rank"]), default=None)
    weights = configs["n_seeds"] - 1
    pooled = (configs["std"].fillna(0) ** 2 * weights).sum() / max(weights.sum(), 1)
    facts = {
        "best": rows[0],
        "tied": [row for row in tied if row["rank"] != 1],
        "cheapest": cheapest if cheapest and cheapest["rank"] != 1 else None,
        "known": bool(configs["ci_low"].notna().any()),
        "seeds": (int(configs["n_seeds"].min()), int(configs["n_seeds"].max())),
        "asked_seeds": len(study.settings["search"].get("seeds", [0])),
        "seed_sd": float(pooled) ** 0.5 if weights.sum() else None,
    }
    return Section("verdict", "Verdict", facts)


def _leaderboard(study: Study) -> Section | None:
    configs = study.configs
    if configs.empty:
        return None
    low, high = float(configs["ci_low"].min()), float(configs["ci_high"].max())
    return Section("leaderboard", "Leaderboard", {"low": low, "span": high - low or 1.0})


def _scores(study: Study) -> Section | None:
    if study.configs.empty:
        return None
    coloured = {f.name: figures.dot_plot(study.configs, f) for f in study.factors}
    plot = Plot("Colour by", coloured or {"configs": figures.dot_plot(study.configs, None)})
    return Section("scores", "Scores and their intervals", {"most": figures.MAX_DOTS}, (plot,))


def _effects(study: Study) -> Section | None:
    plots = []
    for factor in study.factors:
        matches = study.matches(factor)
        averages = _averages(study.configs, factor, matches)
        figure = figures.strip_plot(study.configs, factor, matches, averages)
        effect = _effect(study.configs, factor, matches, averages)
        plots.append(Plot(factor.name, {factor.name: figure}, effect))
    if not plots:
        return None
    return Section("effects", "What each setting does", plots=tuple(plots))


def _curves(study: Study) -> Section | None:
    configs = study.configs
    labels = dict(zip(study.table["config_id"], study.table["label"], strict=True))
    rows = [
        {
            "config_id": record["run_id"].rpartition("-s")[0],
            "seed": record["recipe"]["seed"],
            "state": record["outcome"]["state"],
            "best": record["outcome"]["pearson"] or float("-inf"),
            "steps": [rung["step"] for rung in record["outcome"]["evaluations"]],
            "scores": [rung["pearson"] for rung in record["outcome"]["evaluations"]],
        }
        for record in study.records
        if record["outcome"]["evaluations"]
    ]
    if not rows:
        return None
    runs = pd.DataFrame(rows).sort_values("best", ascending=False).head(figures.MAX_CURVES)
    runs["label"] = runs["config_id"].map(labels).fillna("")
    best = None if configs.empty else str(configs["config_id"].iloc[0])
    factor = study.factors[0] if study.factors else None
    plot = Plot("Dev Pearson by step", {"": figures.learning_curves(runs, factor, best)})
    facts = {"shown": len(runs), "all": len(rows)}
    return Section("curves", "Learning curves", facts, (plot,))


def _cost(study: Study) -> Section | None:
    titles = {"lora_params": "LoRA parameters", "train_seconds": "Training seconds per run"}
    plots = tuple(
        Plot(title, {title: figures.cost_plot(study.configs, column, title)})
        for column, title in titles.items()
        if study.configs[column].notna().any()
    )
    return Section("cost", "Score against cost", plots=plots) if plots else None


def _failures(study: Study) -> Section | None:
    failed = study.table[study.table["state"] == "failed"]
    if failed.empty:
        return None
    rows = failed.head(_MAX_FAILURES).to_dict("records")
    return Section("failures", "Failures", {"rows": rows, "all": len(failed)})


def _making(study: Study) -> Section:
    settings = study.settings
    versions: dict[str, set[str]] = {}
    for source in (settings, *study.records):
        for name, version in source.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
    experiment = {key: settings[key] for key in ("name", *TRAINING) if settings.get(key)}
    facts = {
        "versions": {name: ", ".join(sorted(found)) for name, found in versions.items()},
        "fingerprints": settings.get("fingerprints", {}),
        "experiment": "# @package _global_\n"
        + yaml.safe_dump(experiment, allow_unicode=True, sort_keys=False),
    }
    return Section("making", "How to make it again", facts)


def _averages(configs: pd.DataFrame, factor: Factor, matches: list[Match]) -> dict[str, float]:
    """Mean score by level: over groups that hold every level, or over all configs without any."""
    full = [match for match in matches if len(match) == len(factor.levels)]
    if full:
        return {v: sum(m[v][1] for m in full) / len(full) for v in factor.levels}
    return dict(configs["mean"].groupby(configs["config_id"].map(factor.level_of)).mean())


def _effect(
    configs: pd.DataFrame, factor: Factor, matches: list[Match], averages: Mapping[str, float]
) -> dict[str, Any]:
    """How far each level lies below the best one, or how a range goes with the score.

    `pairs` is the number of pairs of configs that differ in these two levels alone; without
    any, the averages are compared.
    """
    if factor.numbers is not None:
        ranks = configs["config_id"].map(factor.numbers).rank()
        correlation = ranks.corr(configs["mean"].rank())
        return {"correlation": float(correlation), "thirds": dict(averages)}
    best = max(factor.levels, key=lambda level: averages[level])
    below = []
    for level in factor.levels:
        pairs = [m[best][1] - m[level][1] for m in matches if best in m and level in m]
        mean = sum(pairs) / len(pairs) if pairs else averages[best] - averages[level]
        wins = sum(difference > 0 for difference in pairs)
        below.append({"level": level, "mean": mean, "pairs": len(pairs), "wins": wins})
    others = [entry for entry in below if entry["level"] != best]
    return {"best": best, "below": sorted(others, key=lambda entry: entry["mean"])}


def _figure_json(figure: Figure) -> Markup:
    """JSON that can't end the script element it stands in; missing numbers are null."""
    to_json = importlib.import_module("plotly.io.json").to_json_plotly
    return Markup(to_json(figure, engine="json"))


#: The page, from top to bottom. A section that has nothing to show returns None.
_SECTIONS: tuple[Callable[[Study], Section | None], ...] = (
    _verdict,
    _leaderboard,
    _scores,
    _effects,
    _curves,
    _cost,
    _failures,
    _making,
)
