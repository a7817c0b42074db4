"""The figures of the report as SVG and PNG, for papers: `figures/` in the study's folder.

Kaleido draws them in the Chrome or Chromium of this machine, so that they are the plots of the
page to the last mark. It is an optional package, and it asks no server for anything.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from pathlib import Path
from typing import Any

from sweep.core.errors import FiguresError
from sweep.core.optional import trouble_with
from sweep.study.files import StudyFiles
from sweep.watch.report.build import study_figures
from sweep.watch.report.figures.parts import Figure
from sweep.watch.report.palette import LIGHT, painted

#: Pixels of CSS. A PNG has three times as many: 300 dots an inch at 7.6 inches.
_WIDTH = 760
_SCALE = 3
_FONT = "Helvetica, Arial, 'Noto Sans', 'Noto Sans KR', 'Noto Sans CJK KR', sans-serif"


def write_figures(folder: Path) -> list[Path]:
    """Write every figure of the study's report to `figures/` and return the paths.

    Raises:
        FiguresError: kaleido or a browser is missing, or the browser does not start.
    """
    figures = {name: _for_paper(figure) for name, figure in study_figures(folder).items()}
    target = StudyFiles(folder).figures
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target) as temporary:
        jobs: list[dict[str, Any]] = [
            {
                "fig": figure,
                "path": str(Path(temporary) / f"{name}.{kind}"),
                "opts": {"format": kind, "scale": scale, "width": _WIDTH},
            }
            for name, figure in figures.items()
            for kind, scale in (("svg", 1), ("png", _SCALE))
        ]
        _draw(jobs)
        # Moved one by one: what else lies in the folder is the user's.
        return [Path(job["path"]).replace(target / Path(job["path"]).name) for job in jobs]


def _for_paper(figure: Figure) -> Figure:
    """On white, in a font that papers have, as plain JSON."""
    ready = painted(figure, LIGHT)
    ready.pop("narrow", None)
    ready["layout"]["font"]["family"] = _FONT
    ready["layout"]["paper_bgcolor"] = LIGHT["paper"]
    to_json = importlib.import_module("plotly.io.json").to_json_plotly
    plain: Figure = json.loads(to_json(ready, engine="json"))
    return plain


def _draw(jobs: list[dict[str, Any]]) -> None:
    for package in ("kaleido", "choreographer"):
        trouble = trouble_with(package)
        if trouble is not None:
            raise FiguresError(
                "Figures as files need the package kaleido.",
                value=f"{package} {trouble}",
                way_out='pip install "sweep[figures]"; the report needs neither',
            )
    kaleido = importlib.import_module("kaleido")
    errors = importlib.import_module("choreographer.errors")
    try:
        # Without MathJax, which would come from a server.
        kaleido.write_fig_from_object_sync(jobs, cancel_on_error=True, kopts={"mathjax": False})
    except (errors.ChromeNotFoundError, errors.BrowserFailedError, errors.BrowserClosedError) as e:
        raise FiguresError(
            "Figures as files are drawn by Chrome or Chromium.",
            value=str(e).partition("\n")[0],
            way_out="install one, or name it: BROWSER_PATH=/path/to/chrome",
        ) from e
