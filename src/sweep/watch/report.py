"""The report: one HTML file that opens offline, made from the files of the study's folder alone.

A section is one function and one line in `_SECTIONS`; it fills a `Section` with sentences,
plots, a table, commands or facts, and `report.html.j2` knows how each of these looks.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
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

#: Share of the sweep's time that rebuilding may take.
_LARGEST_SHARE = 0.05
_MAX_FAILURES = 100
#: Distinct numbers of one key above which they are seen as a range, in thirds.
_MAX_LEVELS = 8
_TRAINING = ("model", "data", "lora", "trainer", "search")
_SHORT = {
    "lora.lora_alpha": "alpha",
    "lora.lora_dropout": "dropout",
    "lora.target_modules": "targets",
    "trainer.learning_rate": "lr",
    "trainer.num_train_epochs": "epochs",
    "trainer.per_device_train_batch_size": "batch size",
}


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
        short=_short,
        setting=_setting,
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
class Study:
    """What the folder says.

    `configs` is the leaderboard with `label`, the settings in words; `table` has a row per run.
    `records` are the `run.json` of finished runs.
    """

    folder: Path
    settings: Mapping[str, Any]
    table: pd.DataFrame
    configs: pd.DataFrame
    records: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Read what is there; what is missing is empty."""
        path = folder / "config.yaml"
        found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        paths = sorted((folder / "runs").glob("*/run.json"))
        study = cls(
            folder,
            {part: {} for part in _TRAINING} | found,
            _csv(folder / "table.csv", "trial config_id seed state reason train_seconds"),
            _csv(folder / "leaderboard.csv", "config_id mean ci_low lora_params train_seconds"),
            tuple(record for path in paths if (record := _record(path)) is not None),
        )
        for frame in (study.table, study.configs):
            frame["label"] = [study.words(row) for row in frame.to_dict("records")]
        return study

    @property
    def name(self) -> str:
        return str(self.settings.get("name") or self.folder.resolve().name)

    @property
    def place(self) -> str:
        """The folder as commands name it."""
        return str(Path(self.settings.get("results_dir", self.folder.parent)) / self.folder.name)

    @cached_property
    def states(self) -> dict[str, int]:
        """Number of runs by state; a state without runs counts 0."""
        counted: dict[str, int] = dict(self.table["state"].value_counts())
        names = ("complete", "pruned", "failed", "running", "queued")
        return {name: int(counted.get(name, 0)) for name in names}

    @property
    def keys(self) -> list[str]:
        """Searched keys, in the order of the space."""
        return [column for column in self.table.columns if "." in column]

    @cached_property
    def factors(self) -> list[Factor]:
        """Searched dimensions with several scored values, the most separating first."""
        space = self.settings["search"].get("space", {})
        labelled = {
            name: next(iter(entry.values()))
            for name, entry in space.items()
            if isinstance(entry, Mapping) and "low" not in entry
        }
        scored = [key for key in self.keys if key in self.configs]
        groups = [[k for k in keys if k in scored] for keys in labelled.values()]
        alone = [[k] for k in scored if not any(k in group for group in groups)]
        built = [_factor(self.configs, keys) for keys in [*groups, *alone] if keys]
        varied = [factor for factor in built if len(factor.levels) > 1]
        return sorted(varied, key=lambda f: -_separation(self.configs, f))

    def words(self, row: Mapping[Any, Any]) -> str:
        """Searched settings of a row in words."""
        return ", ".join(_setting(k, row[k]) for k in self.keys if k in row) or "base settings"

    def matches(self, factor: Factor) -> list[Match]:
        """Configs that differ in this factor alone, in groups of two or more."""
        groups: dict[tuple[str, ...], dict[str, tuple[str, float]]] = {}
        for config_id, mean in zip(self.configs["config_id"], self.configs["mean"], strict=True):
            others = tuple(f.values[config_id] for f in self.factors if f is not factor)
            groups.setdefault(others, {})[factor.level_of[config_id]] = (config_id, mean)
        return [match for match in groups.values() if len(match) > 1]


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
    experiment = {key: settings[key] for key in ("name", *_TRAINING) if settings.get(key)}
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


def _factor(configs: pd.DataFrame, keys: list[str]) -> Factor:
    """The factor that these keys make together; many numbers are put into thirds."""
    ids = configs["config_id"]
    column = configs[keys[0]]
    rows = configs[keys].to_dict("records")
    name = " and ".join(_short(key) for key in keys)
    if len(keys) == 1 and column.nunique() > _MAX_LEVELS and pd.api.types.is_numeric_dtype(column):
        thirds = pd.qcut(column, 3, duplicates="drop")
        ends = column.groupby(thirds, observed=True).agg(["min", "max"])
        names = {third: f"{low:.3g} to {high:.3g}" for third, low, high in ends.itertuples()}
        return Factor(
            name,
            levels=tuple(names.values()),
            level_of={i: names[third] for i, third in zip(ids, thirds, strict=True)},
            values=dict(zip(ids, column.map(str), strict=True)),
            numbers=dict(zip(ids, column.astype(float), strict=True)),
            log=bool(column.min() > 0 and column.max() > 10 * column.min()),
        )
    alone = len(keys) == 1
    ordered = configs.drop_duplicates(keys).sort_values(keys)[keys].to_dict("records")

    def words(row: Mapping[Any, Any]) -> str:
        return ", ".join(_setting(key, value, bare=alone) for key, value in row.items())

    level_of = dict(zip(ids, map(words, rows), strict=True))
    return Factor(name, tuple(dict.fromkeys(map(words, ordered))), level_of, level_of)


def _separation(configs: pd.DataFrame, factor: Factor) -> float:
    """Share of the scores' variance between levels, adjusted for their number."""
    levels = configs["config_id"].map(factor.level_of)
    inside = configs["mean"] - configs["mean"].groupby(levels).transform("mean")
    free = len(configs) - levels.nunique()
    total = float(configs["mean"].var()) if len(configs) > 1 else 0.0
    return 1 - float((inside**2).sum()) / free / total if free > 0 and total > 0 else 0.0


def _short(key: str) -> str:
    return _SHORT.get(key, key.rpartition(".")[2].replace("_", " "))


def _setting(key: str, value: object, *, bare: bool = False) -> str:
    """A key and its value in words; targets speak for themselves."""
    if isinstance(value, float):
        whole = "none" if pd.isna(value) else f"{value:.0f}"
        text = whole if pd.isna(value) or value.is_integer() else f"{value:.3g}"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if bare or key == "lora.target_modules" else f"{_short(key)} {text}"


def _csv(path: Path, columns: str) -> pd.DataFrame:
    """A table of the study, empty with these columns before it is first written.

    Only an empty cell is missing: `none` and `NA` may be labels.
    """
    if not path.exists():
        return pd.DataFrame(columns=columns.split())
    return pd.read_csv(path, dtype={"config_id": str}, keep_default_na=False, na_values=[""])


def _record(path: Path) -> dict[str, Any] | None:
    """A `run.json`, or None when it can't be read: the sweep trains that run again."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return record


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
