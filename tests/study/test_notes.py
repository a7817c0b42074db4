"""Notes about configs that are added by hand."""

from __future__ import annotations

from pathlib import Path

from sweep.study.notes import add_point, added_points


def test_notes_are_read_once_each_and_a_second_one_is_the_same(tmp_path: Path) -> None:
    assert added_points(tmp_path) == []
    add_point(tmp_path, {"기본": "가"})
    add_point(tmp_path, {"기본": "가"})
    ((note, point),) = added_points(tmp_path)
    assert point == {"기본": "가"}
    note.unlink()
    assert added_points(tmp_path) == []
