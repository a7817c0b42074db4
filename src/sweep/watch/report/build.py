"""Building the page, and the figures on their own."""

from __future__ import annotations

import gzip
import importlib
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from shlex import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sweep.core.files import write_text
from sweep.core.words import compact, duration, name_of, value_text
from sweep.study.settings import place_of
from sweep.study.study import Study
from sweep.watch.report.figures.parts import Figure
from sweep.watch.report.palette import DARK, LIGHT, painted
from sweep.watch.report.sections.board import leaderboard, scores
from sweep.watch.report.sections.cost import cost, plan
from sweep.watch.report.sections.making import making
from sweep.watch.report.sections.own_rates import own_rates
from sweep.watch.report.sections.parts import Section
from sweep.watch.report.sections.runs import curves, failures, pruning
from sweep.watch.report.sections.scoring import scoring
from sweep.watch.report.sections.settings import effects, importance, together
from sweep.watch.report.sections.trust import guard, rank_use, test
from sweep.watch.report.sections.variants import variants
from sweep.watch.report.sections.verdict import verdict

#: The page, from top to bottom. A section that has nothing to show returns None.
SECTIONS: tuple[Callable[[Study], Section | None], ...] = (
    verdict,
    leaderboard,
    test,
    scores,
    effects,
    own_rates,
    variants,
    importance,
    together,
    curves,
    pruning,
    cost,
    scoring,
    rank_use,
    plan,
    guard,
    failures,
    making,
)
_PAGE = Path(__file__).parent / "page"


def build_report(folder: Path) -> Path:
    """Write the report of a study, finished or not, and return its path.

    Raises:
        StudyError: the folder holds no study.
    """
    study = Study.open(folder)
    page = (
        _templates()
        .get_template("page.html.j2")
        .render(
            name=study.settings.name,
            place=place_of(study.settings, folder),
            base=study.settings.base,
            metric=study.metric,
            sections=_sections(study),
            built=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            templates={path.name.partition(".")[0] for path in (_PAGE / "sections").iterdir()},
            light=LIGHT,
            dark=DARK,
            style=Markup((_PAGE / "style.css").read_text(encoding="utf-8")),
            script=Markup((_PAGE / "page.js").read_text(encoding="utf-8")),
            plotly_packed=_plotly_packed(),
        )
    )
    write_text(study.files.report, page)
    return study.files.report


def study_figures(folder: Path) -> dict[str, Figure]:
    """The figures of the report by a name that is fit for a file, colours still tokens."""
    return {
        _file_name(section.anchor, plot.title if len(section.plots) > 1 else "", name): figure
        for section in _sections(Study.open(folder))
        for plot in section.plots
        for name, figure in plot.figures.items()
    }


def figures_in_light(folder: Path) -> dict[str, Figure]:
    """The same in light colours, for a tracker."""
    return {name: painted(figure, LIGHT) for name, figure in study_figures(folder).items()}


def _sections(study: Study) -> list[Section]:
    found = [s for section in SECTIONS if (s := section(study)) is not None]
    return [s.with_score(study.metric.word) for s in found]


def _file_name(anchor: str, title: str, name: str) -> str:
    parts = dict.fromkeys(part for part in (anchor, title, name) if part)
    # Letters of any script stay; what a file system may not like goes.
    return "-".join(re.sub(r"\W+", "_", part).strip("_").lower() for part in parts)


@cache
def _templates() -> Environment:
    """The page's templates: to compile them takes longer than to fill them."""
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined
    )
    # Globals are seen by imported macros, too.
    environment.globals |= {
        "figure_json": _figure_json,
        "quote": quote,
        "name_of": name_of,
        "value_text": value_text,
        "compact": compact,
        "duration": duration,
    }
    return environment


@cache
def _plotly_packed() -> str:
    """Plotly's JavaScript, gzipped, in base64: 1.9 MB instead of 4.8."""
    code: str = importlib.import_module("plotly.offline").get_plotlyjs()
    return b64encode(gzip.compress(code.encode(), mtime=0)).decode("ascii")


def _figure_json(figure: Figure) -> Markup:
    """JSON that can't end the script element it stands in; missing numbers are null."""
    to_json = importlib.import_module("plotly.io.json").to_json_plotly
    return Markup(to_json(figure, engine="json"))
