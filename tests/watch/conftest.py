"""A study's folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "결과 results" / "스터디 one"
