"""The figures as files, drawn by kaleido in a real browser where there is one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from studies import GRID, study
from sweep.commands.cli import run_command
from sweep.core.errors import FiguresError
from sweep.watch.report.figure_files import write_figures

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "유사도", GRID[:1])
    return tmp_path / "유사도"


def test_missing_package_is_named_with_a_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(FiguresError, match=r'pip install "sweep\[figures\]"'):
        write_figures(folder)


def test_missing_browser_is_named_with_a_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kaleido", reason="kaleido is not installed")
    monkeypatch.setenv("BROWSER_PATH", str(folder / "no-such-browser"))
    with pytest.raises(FiguresError, match="BROWSER_PATH="):
        write_figures(folder)


@pytest.mark.long
def test_figures_are_written_beside_what_the_user_keeps_there(folder: Path) -> None:
    pytest.importorskip("kaleido", reason="kaleido is not installed")
    if "BROWSER_PATH" not in os.environ and not any(map(shutil.which, NAMES)):
        pytest.skip("no Chrome or Chromium on this machine")
    (folder / "figures").mkdir()
    (folder / "figures" / "mine.txt").write_text("kept", encoding="utf-8")
    assert run_command(["report", str(folder), "--figures"]) == 0
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"mine.txt", "curves.svg", "curves.png", "scores-configs.svg"} <= names
    assert not [name for name in names if name.startswith(".")]
    drawing = (folder / "figures" / "curves.svg").read_text(encoding="utf-8")
    assert "dev Pearson" in drawing
    assert "@" not in drawing.replace("@font-face", "")
    assert (folder / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")
