"""Baselines of a frozen base: on published figures, and where there is nothing to score."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweep.config.compose import load_settings
from sweep.core.recipe import Data, Recipe
from sweep.data.pairs import load_split
from sweep.train.baselines import score_baselines
from sweep.train.scores import scores

FOLDER = Path(
    os.environ.get("SWEEP_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


@pytest.mark.long
@pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no folder with real STS files at {FOLDER} (SWEEP_SHARED_DATA)"
)
def test_cosine_of_minilm_on_sts_b_is_as_published() -> None:
    """MTEB's results of all-MiniLM-L6-v2 on STSBenchmark."""
    data = Data(
        source="files",
        train=str(FOLDER / "stsb" / "sts-train.csv"),
        dev=str(FOLDER / "stsb" / "sts-dev.csv"),
        test=str(FOLDER / "stsb" / "sts-test.csv"),
        text_a=5,
        text_b=6,
        label=4,
    )
    model = load_settings([])[0].model
    (cosine,) = score_baselines(Recipe(model=model, data=data), ("cosine",), ("test",), 2)
    labels = load_split(data, "test").labels
    assert labels is not None
    assert len(labels) == 1_379
    pearson, spearman = scores(cosine.predictions["test"], labels)
    assert pearson == pytest.approx(0.8274, abs=1e-3)
    assert spearman == pytest.approx(0.8203, abs=1e-3)
    assert cosine.params == 0
