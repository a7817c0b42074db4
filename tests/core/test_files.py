"""Paths that the disk spells in another Unicode form than people do."""

from __future__ import annotations

import unicodedata
from itertools import product
from pathlib import Path

import pytest

from sweep.core.files import as_on_disk


def spelt(form: str, name: str) -> str:
    return unicodedata.normalize(form, name)


FORMS = list(product(("NFC", "NFD"), repeat=3))


@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize("forms", FORMS)
def test_every_folder_may_be_in_a_form_of_its_own(
    tmp_path: Path, forms: tuple[str, str, str], asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("데이터", "감정 분석", "학습.csv")
    there = Path(*(spelt(form, name) for form, name in zip(forms, names, strict=True)))
    (tmp_path / there).parent.mkdir(parents=True)
    (tmp_path / there).touch()
    path = Path(*(spelt(asked, name) for name in names))
    assert as_on_disk(tmp_path / path).samefile(tmp_path / there)
    monkeypatch.chdir(tmp_path)
    assert as_on_disk(path).samefile(there)
    assert as_on_disk(path.parent / ".." / path.parent.name / path.name).samefile(there)


def test_of_folders_in_both_forms_the_one_that_holds_the_file_is_taken(tmp_path: Path) -> None:
    folders = [tmp_path / spelt(form, "데이터") for form in ("NFC", "NFD")]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    file = folders[1] / spelt("NFD", "학습.csv")
    file.touch()
    assert as_on_disk(folders[0] / spelt("NFC", "학습.csv")).samefile(file)


def test_path_that_exists_or_is_nowhere_is_left_as_it_is(tmp_path: Path) -> None:
    for path in (tmp_path, Path(), Path("klue/roberta-small"), tmp_path / "없다" / "a.csv"):
        assert as_on_disk(path) == path


def test_folder_that_may_not_be_listed_holds_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> list[Path]:
        raise PermissionError(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    assert as_on_disk(tmp_path / "학습.csv") == tmp_path / "학습.csv"
