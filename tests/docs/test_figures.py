"""The first table of README and benchmarks: the same in both, and what the JSONs hold."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import pytest

from pages import ROOT, tables, text_of

FILES = {
    "AMD EPYC with bf16: generated pairs, 200 steps": "grid_demo_200",
    "AMD EPYC with bf16: STS benchmark, 200 steps": "grid_stsb_200",
    "AMD EPYC without bf16: generated pairs, 60 steps": "grid_demo_60_no_bf16",
    "AMD EPYC without bf16: STS benchmark, 60 steps": "grid_stsb_60_no_bf16",
}


def measured(name: str) -> dict[str, Any]:
    path = ROOT / "results" / "benchmarks" / f"versus_hf_{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def cells(name: str) -> list[str]:
    """What a row of the table must say."""
    content = measured(name)
    raw, summary = content["raw"], content["summary"]
    ours, theirs = (summary[who]["seconds"]["median"] for who in ("sweep", "trainer"))
    turns = zip(raw["sweep"], raw["trainer"], strict=True)
    best = fmean(our["best_pearson"] - their["best_pearson"] for our, their in turns)
    scores = content["score_differences"]
    mean, error = scores["mean"], scores["standard_error"]
    return [
        f"{ours:.0f} s",
        f"{theirs:.0f} s",
        f"{content['times_as_fast']['seconds']['median']:.1f}",
        f"best {best:+.3f}, mean {mean:+.3f} ± {error:.3f}",
    ]


def test_first_twenty_lines_hold_what_it_does_one_command_picture_and_table() -> None:
    top = "\n".join(text_of("README.md").splitlines()[:20])
    assert "make demo" in top
    assert "docs/images/report.png" in top
    (table,) = tables(top)
    assert len(table) == 1 + len(FILES)


def test_readme_and_benchmarks_begin_with_the_same_table() -> None:
    assert tables(text_of("README.md"))[0] == tables(text_of("docs/benchmarks.md"))[0]


@pytest.mark.parametrize("row", tables(text_of("README.md"))[0][1:], ids=lambda row: row[0])
def test_row_says_what_was_measured(row: list[str]) -> None:
    work, *figures = row
    assert figures == cells(FILES[work])
    machine = measured(FILES[work])["machine"]
    assert "AMD EPYC" in machine["cpu"]
    assert (machine["physical_cores"], machine["gpus"]) == (2, [])
    has_bf16 = "avx512_bf16" in machine["instructions"]
    assert has_bf16 == ("with bf16" in work)
    assert f"versus_hf_{FILES[work]}.json" in text_of("docs/benchmarks.md")
