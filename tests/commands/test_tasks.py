"""Tasks beside scores of pairs, from the command line to predictions with an exported adapter."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.metrics import matthews_corrcoef
from transformers import AutoConfig

from command_line import run, table, tiny_sweep
from sweep.core.recipe import Recipe
from sweep.study.study import Study

pytestmark = pytest.mark.trains

CLASSES = ["unlike", "alike"]


def minus_the_error(labels: pd.Series, predictions: pd.Series) -> float:
    """A metric of the user's own, in the units of the labels."""
    return -float(abs(labels - predictions).mean())


@pytest.fixture
def reviews(pair_files: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Single sentences of two classes by name."""
    files = {}
    for split in ("train", "dev"):
        pairs = pd.read_csv(pair_files[split])
        says = pairs["sentence1"].str.contains("고양이|강아지|cat|dog")
        named = [CLASSES[int(found)] for found in says]
        rows = pd.DataFrame({"review": pairs["sentence1"], "says": named})
        files[split] = tmp_path / f"{split}.csv"
        rows.to_csv(files[split], index=False)
    return files


def test_single_sentences_of_two_classes_from_sweep_to_prediction(
    home: Path,
    tiny_model: Path,
    reviews: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = [
        *("task=classification", "task.metric=mcc", "name=reviews", "executor=in_process"),
        *("data.text_a=review", "data.text_b=null", "data.label=says", "confirm=none"),
        *("search.space={lora.r: [2, 4]}", "search.seeds=[0,1]", "baselines.head=true"),
        *("trainer.max_steps=40", "trainer.eval_steps=20", "trainer.learning_rate=1e-2"),
    ]
    code, out, err = run(*tiny_sweep(tiny_model, reviews), *settings, capfd=capfd)
    assert code == 0, err
    assert "dev MCC" in out
    assert "majority class" in out
    assert "cosine" not in out
    runs = table(Path("results/reviews"))
    assert list(runs.columns[5:9]) == ["mcc", "mcc_last", "best_step", "accuracy"]
    study = Study.open(Path("results/reviews"))
    assert study.settings.base.data.classes == ("alike", "unlike")
    assert study.leaderboard[0].mean == pytest.approx(
        runs[runs["config_id"] == study.leaderboard[0].config_id]["mcc"].mean()
    )
    record = json.loads((study.files.run(study.runs[0].run_id).record).read_text(encoding="utf-8"))
    assert {"mcc", "accuracy"} <= record["outcome"]["evaluations"][0].keys()
    best = Path("results/reviews/best")
    metrics = json.loads((best / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["order_asymmetry"] is None
    code, out, err = run("predict", str(best), str(reviews["dev"]), capfd=capfd)
    assert code == 0, err
    answers = pd.read_csv(io.StringIO(out))
    assert list(answers.columns) == ["text_a", "label", "prediction", "p_alike", "p_unlike"]
    shares = answers[["p_alike", "p_unlike"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-3)
    likeliest = shares.idxmax(axis=1).str.removeprefix("p_")
    sure = shares.max(axis=1) > 0.51
    assert (likeliest == answers["prediction"])[sure].all()
    code, _, err = run(
        *("predict", str(best), str(reviews["dev"]), "--out", "answers.parquet"), capfd=capfd
    )
    assert code == 0, err
    pd.testing.assert_frame_equal(pd.read_parquet("answers.parquet"), answers, check_dtype=False)
    assert set(answers["prediction"]) <= set(CLASSES)
    expected = matthews_corrcoef(answers["label"], answers["prediction"])
    assert expected == pytest.approx(metrics["mcc"], abs=0.06)
    assert f"MCC {expected:.4f}" in err
    _runs_as_the_card_says(best)
    assert run("export", "results/reviews", "--merge", "--to", "out", capfd=capfd)[0] == 0
    assert AutoConfig.from_pretrained("out/merged").id2label == {0: "alike", 1: "unlike"}


def _runs_as_the_card_says(best: Path) -> None:
    """The code of the model card, in the exported folder."""
    code = (best / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    with contextlib.chdir(best):
        found: dict[str, Any] = {}
        exec(code, found)
        assert found["classify"]([("고양이 먹는다",)])[0] in CLASSES


def test_metric_of_the_user_s_ranks_single_sentences(
    home: Path,
    tiny_model: Path,
    pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = [
        *("task=regression", f"task.metric={__name__}:minus_the_error", "name=own"),
        *("data.text_b=null", "confirm=none", "executor=in_process", "baselines=none"),
        *("search.space={lora.r: [2, 4]}", "search.seeds=[0]"),
    ]
    code, out, err = run(*tiny_sweep(tiny_model, pair_files), *settings, capfd=capfd)
    assert code == 0, err
    assert "dev minus_the_error -" in out
    runs = table(Path("results/own"))
    assert (runs["minus_the_error"] < 0).all()
    assert Study.open(Path("results/own")).settings.objectives[0].name == "minus_the_error"
    page = Path("results/own/report.html").read_text(encoding="utf-8")
    assert "Dev minus_the_error by step" in page
    assert "Pearson" not in page.partition('id="plotly"')[0]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["task=classification", "task.metric=pearson"], "accuracy, macro_f1, mcc"),
        (["task.metric=f1"], "pearson, spearman"),
        (["task=classification", "task.encoder=bi"], "likeness of two sentences"),
        (["data.text_b=null"], "task=regression"),
        (["data.classes=[a,b]"], "task=classification"),
        (["task.metric=spearman", "search.objectives=[pearson:max]"], "spearman:max"),
        (["search.space={task.metric: [pearson, spearman]}"], "answers one question"),
        (["task.metric=no_such_module:f"], "can be imported"),
    ],
)
def test_what_does_not_go_together_is_refused_with_a_way_out(
    settings: list[str],
    named: str,
    home: Path,
    recipe: Recipe,
    tiny_model: Path,
    pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, _, err = run(*tiny_sweep(tiny_model, pair_files), *settings, capfd=capfd)
    assert code == 2
    assert named in err
