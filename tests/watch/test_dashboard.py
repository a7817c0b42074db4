"""A study's own `study.db` in optuna-dashboard, in a real browser.

Screenshots are kept in `build/screenshots`, which git ignores.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from command_line import table
from sweep.study.study import Study

dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")

pytestmark = pytest.mark.long

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def served(trained_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = tmp_path_factory.mktemp("대시보드") / "study.db"
    shutil.copy(trained_study / "study.db", database)
    app = dashboard.wsgi(f"sqlite:///{database}")
    server = make_server("127.0.0.1", 0, app, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/dashboard"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def tab(browser: Any, served: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1400, "height": 1800})
    page = context.new_page()
    page.goto(served)
    yield page
    context.close()


def _open(tab: Any, served: str, where: str, awaited: str) -> str:
    """All that a page says, once it says `awaited`."""
    tab.goto(f"{served}/studies/1{where}")
    tab.get_by_text(awaited).first.wait_for(timeout=30_000)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    tab.wait_for_timeout(500)
    tab.screenshot(path=SCREENSHOTS / f"dashboard{where.replace('/', '_')}.png")
    said: str = tab.inner_text("body")
    return said


def test_trials_are_listed_with_their_names(tab: Any, served: str, trained_study: Path) -> None:
    found = Study.open(trained_study)
    rows = table(trained_study)
    said = _open(tab, served, "/trials", "Trial 0")
    assert all(f"Trial {number}" in said for number in set(rows.trial))
    assert "config_id" in said
    assert "targets" in said
    assert any(row.config_id in said for row in found.leaderboard)


def test_analysis_shows_scores_by_step_what_matters_and_how_sure_that_is(
    tab: Any, served: str, trained_study: Path
) -> None:
    said = _open(tab, served, "", "ranking")
    assert "Intermediate" in said
    tab.locator("#plot-param-importances .bars, .barlayer").first.wait_for(state="attached")
    assert Study.open(trained_study).leaderboard[0].config_id in said
    assert "95 % interval" in said
