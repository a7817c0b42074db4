"""Names of a study's files stand in one room: whoever else needs a file asks `StudyFiles`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from sweep.study.files import ExportedFiles, RunFiles, StudyFiles

SOURCE = Path(__file__).resolve().parents[2] / "src" / "sweep"


def names_of(kind: type[StudyFiles] | type[RunFiles] | type[ExportedFiles]) -> set[str]:
    here = kind(Path("/folder"))
    inside = {f.name for f in fields(kind)}
    found = (getattr(here, name) for name in vars(kind) if not name.startswith("_"))
    paths = [value for value in found if isinstance(value, Path)]
    assert paths
    assert inside == {"folder"}
    # Hidden ones are of no interest to others.
    return {path.name for path in paths if "." in path.name.lstrip(".")}


NAMES = {*names_of(StudyFiles), *names_of(RunFiles), *names_of(ExportedFiles)}


def strings_of(tree: ast.AST) -> Iterator[ast.Constant]:
    """All but docstrings, which explain."""
    explained = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in explained:
            yield node


def test_names_are_what_the_documentation_says() -> None:
    assert {"config.yaml", "study.db", "table.csv", "verdict.json", "run.json"} <= NAMES


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SOURCE.rglob("*.py")) if SOURCE / "study" not in path.parents],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_no_file_of_a_study_is_named_outside_of_its_room(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [
        f"line {text.lineno}: {name}"
        for text in strings_of(tree)
        for name in NAMES
        if name in str(text.value)
    ]
    assert named == []
