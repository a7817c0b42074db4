"""The model card's own lines of Python: they score what `predict` scores."""

from __future__ import annotations

import re
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sweep.export.predicting import predict

LONG = " ".join(["고양이", "먹는다", "바다"] * 60)
PAIRS = [("고양이 먹는다", "강아지 먹는다"), (LONG, LONG), ("cat", LONG), ("바다", "기차 달린다")]


def test_lines_of_the_card_score_any_pairs_as_predict_does(
    trained_study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = trained_study / "best"
    card = (best / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    names: dict[str, Any] = {}
    with chdir(best):
        exec(compile(code, "README.md", "exec"), names)
    assert len(re.findall(r"-?\d+\.\d+", capfd.readouterr().out)) == 2
    file = tmp_path / "쌍.csv"
    frame = pd.DataFrame(PAIRS, columns=["sentence1", "sentence2"])
    frame.to_csv(file, index=False)
    expected = predict(best, file, {}, tell=lambda _: None)["prediction"].to_numpy()
    assert names["score"](PAIRS) == pytest.approx(expected.tolist(), abs=1e-5)
    assert [names["score"]([pair])[0] for pair in PAIRS] == pytest.approx(expected, abs=1e-5)
