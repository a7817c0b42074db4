"""The files path on real KLUE-STS, KorSTS and STS-B files, where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweep.core.recipe import Data
from sweep.data.pairs import load_split

FOLDER = Path(
    os.environ.get("SWEEP_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no folder with real STS files at {FOLDER} (SWEEP_SHARED_DATA)"
)

SETS = {
    "klue-sts": (
        Data(
            source="files",
            train=str(FOLDER / "klue-sts" / "train.csv"),
            dev=str(FOLDER / "klue-sts" / "dev.json"),
            label=("label", "labels.label"),
        ),
        11_668,
        519,
    ),
    "kor-sts": (
        Data(
            source="files",
            train=str(FOLDER / "kor-sts" / "sts-train.tsv"),
            dev=str(FOLDER / "kor-sts" / "sts-dev.tsv"),
        ),
        5_749,
        1_500,
    ),
    "stsb": (
        Data(
            source="files",
            train=str(FOLDER / "stsb" / "sts-train.csv"),
            dev=str(FOLDER / "stsb" / "sts-dev.csv"),
            text_a=5,
            text_b=6,
            label=4,
        ),
        5_749,
        1_500,
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_real_files_are_read_whole(name: str) -> None:
    data, train, dev = SETS[name]
    assert len(load_split(data, "train")) == train
    pairs = load_split(data, "dev")
    assert len(pairs) == dev
    assert pairs.labels is not None
    assert pairs.labels.min() >= 0
    assert pairs.labels.max() <= 5
    assert all(text.strip() for text in pairs.text_a + pairs.text_b)
