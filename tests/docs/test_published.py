"""The registry of published figures: every row can be run, and a verdict says what it must."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sweep.config.compose import load_settings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def load() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("published", BENCHMARKS / "published.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["published"] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(BENCHMARKS))


PUBLISHED = load()


@pytest.mark.parametrize("row", PUBLISHED.REGISTRY, ids=lambda row: row.name)
def test_every_row_has_a_source_a_figure_and_a_recipe_that_composes(row: object) -> None:
    assert row.source  # type: ignore[attr-defined]
    assert row.figures  # type: ignore[attr-defined]
    load_settings(list(row.recipe))  # type: ignore[attr-defined]


def test_verdict_is_inside_or_says_by_how_much_it_failed() -> None:
    row = PUBLISHED.REGISTRY[0]
    assert PUBLISHED.verdict(row, dict(row.figures)) == "inside"
    off = {name: value + 0.0030 for name, value in row.figures.items()}
    assert PUBLISHED.verdict(row, off) == "failed by 0.0020"
