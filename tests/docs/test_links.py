"""Links within the documentation lead somewhere, and the index of decisions is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages import ROOT, anchor, text_of

LINKING = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]


def headings(text: str) -> list[str]:
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"^#+ (.+)$", outside, re.MULTILINE)


@pytest.mark.parametrize("page", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, place = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if place:
            assert place in map(anchor, headings(path.read_text(encoding="utf-8"))), target


def test_index_of_decisions_names_each_once_by_its_title() -> None:
    text = text_of("docs/decisions.md")
    index, _, entries = text.partition("\n## By topic\n")[2].partition("\n## ")
    titles = headings(f"## {entries}")
    listed = re.findall(r"^- \[(.+)\]\(#(.+)\)$", index, re.MULTILINE)
    assert sorted(title for title, _ in listed) == sorted(titles)
    assert all(place == anchor(title) for title, place in listed)


def test_every_decision_begins_with_its_date_in_order() -> None:
    entries = text_of("docs/decisions.md").partition("\n## By topic\n")[2].split("\n## ")[1:]
    dates = [entry.split("\n\n")[1][:11] for entry in entries]
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}\.", date) for date in dates)
    assert dates == sorted(dates)
