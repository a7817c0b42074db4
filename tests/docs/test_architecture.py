"""Picture, paragraphs and table of the rooms tell what the import contract keeps."""

from __future__ import annotations

import re
import tomllib

from pages import ROOT, blocks, codes, tables, text_of

SOURCES = ROOT / "src" / "sweep"
ROOMS = {path.name for path in SOURCES.iterdir() if (path / "__init__.py").exists()}


def contract() -> dict[str, int]:
    """Rooms and their floors, from 1, by the layers of import-linter."""
    project = tomllib.loads(text_of("pyproject.toml"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return {
        room.strip().removeprefix("sweep."): floor
        for floor, layer in enumerate(reversed(layers), 1)
        for room in layer.split("|")
    }


def test_contract_has_every_room() -> None:
    assert set(contract()) == ROOMS
    assert max(contract().values()) <= 10


def test_table_of_rooms_is_the_contract() -> None:
    (table,) = tables(text_of("CONTRIBUTING.md"))
    assert {codes(room)[0].strip("/"): int(floor) for floor, room, _ in table[1:]} == contract()


def test_paragraphs_are_the_contract() -> None:
    text = text_of("docs/architecture.md")
    told = re.findall(r"^\*\*(\w+)\*\* \((\d+)\)\.", text, re.MULTILINE)
    assert {room: int(floor) for room, floor in told} == contract()


def test_picture_is_the_contract_and_fits_a_terminal() -> None:
    picture, *_ = blocks(ROOT / "docs" / "architecture.md", "text")
    lines = picture.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    drawn = {
        room: int(floor)
        for floor, rule in re.findall(r"^ ?(\d+) ([┌├].+)$", picture, re.MULTILINE)
        for room in re.findall(r"[a-z]+", rule)
    }
    assert drawn == contract()


def test_files_that_the_page_names_are_there() -> None:
    text = text_of("docs/architecture.md")
    for room, paragraph in re.findall(r"^\*\*(\w+)\*\* \(\d+\)\.(.+?)\n\n", text, re.M | re.S):
        for name in re.findall(r"`(\w+\.py)`", paragraph):
            assert (SOURCES / room / name).exists(), f"{room}/{name}"
    for path in re.findall(r"`(\w+/\w+\.py)`", text):
        assert (SOURCES / path).exists(), path
