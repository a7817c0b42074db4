"""Habits of the code that can be counted (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sweep

SOURCES = Path(sweep.__file__).parent
FILES = sorted(SOURCES.rglob("*.py"))


def functions() -> dict[str, int]:
    """Lines of every function, by file, line and name."""
    return {
        f"{path.relative_to(SOURCES)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }


@pytest.mark.long
def test_no_function_has_more_than_40_lines_and_nine_of_ten_at_most_20() -> None:
    found = functions()
    assert {name: lines for name, lines in found.items() if lines > 40} == {}
    assert sorted(found.values())[int(0.9 * len(found))] <= 20


def test_no_file_has_more_than_300_lines() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): count for path, count in lines.items() if count > 300} == {}


def test_every_module_lives_in_a_room() -> None:
    assert sorted(path.name for path in SOURCES.glob("*.py")) == ["__init__.py", "__main__.py"]
    rooms = [path for path in SOURCES.iterdir() if path.is_dir() and [*path.glob("*.py")]]
    assert [room.name for room in rooms if not (room / "__init__.py").is_file()] == []
