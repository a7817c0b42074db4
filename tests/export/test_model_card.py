"""The model card's own lines of Python: they score what `predict` scores."""

from __future__ import annotations

import json
import re
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from huggingface_hub import ModelCard

from sweep.core.recipe import Model, Recipe
from sweep.core.task import Task
from sweep.export.front_matter import licence_of, name_on_hub
from sweep.export.model_card import model_card
from sweep.export.predicting import predict
from sweep.loop.trial import Outcome, Run, RunState
from sweep.study.study import Study

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


def test_card_tells_the_hub_its_base_its_scores_and_where_they_come_from(
    trained_study: Path,
) -> None:
    """A folder of this machine is no base that others could find."""
    best = trained_study / "best"
    card = ModelCard((best / "README.md").read_text(encoding="utf-8"))
    assert card.data.base_model is None
    assert card.data.library_name == "peft"
    scores = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}
    measured = json.loads((best / "metrics.json").read_text(encoding="utf-8"))["pearson"]
    assert scores["validation", "pearsonr"] == pytest.approx(measured, abs=1e-4)
    assert {split for split, _ in scores} == {"validation", "test", "holdout"}
    prints = Study.open(trained_study).settings.fingerprints
    assert f"train `{prints['train']}`, dev `{prints['dev']}`" in card.content


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: own-1\n---\n", "own-1"),
        ("# No front matter", None),
        ("---\nlicense: [\n---\n", None),
        (None, None),
    ],
)
def test_licence_of_the_base_is_what_its_own_card_says(
    text: str | None, said: str | None, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    if text is not None:
        (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert licence_of(Model(path=str(tmp_path))) == said


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Model(path="klue/roberta-small"), "klue/roberta-small"),
        (Model(path="bert-base-uncased"), "bert-base-uncased"),
        (Model(path="package:some/model", hub_name="org/model"), "org/model"),
        (Model(path="package:some/model"), None),
        (Model(path="/home/누구/model"), None),
    ],
)
def test_base_is_named_to_the_hub_only_as_the_hub_knows_it(model: Model, name: str | None) -> None:
    assert name_on_hub(model) == name


CLASSES = {"classes": ("no", "it's"), "label_range": (0.0, 1.0)}


@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
@pytest.mark.parametrize(
    ("data", "call", "outputs"),
    [
        ({}, "score([(", "num_labels=1,"),
        ({"text_b": None}, 'score(["', "num_labels=1,"),
        (CLASSES, "classify([(", "id2label=dict(enumerate(classes)),"),
        ({**CLASSES, "text_b": None}, "classify([(", "id2label=dict(enumerate(classes)),"),
    ],
)
def test_lines_of_the_card_are_python_for_every_task(
    data: dict[str, Any], call: str, outputs: str, quantization: Any, recipe: Recipe
) -> None:
    """One head for all of them, and what follows it."""
    kind = Task(kind="classification", metric="accuracy") if "classes" in data else Task()
    own = replace(
        recipe,
        model=replace(recipe.model, quantization=quantization),
        data=replace(recipe.data, **data),
        task=kind,
    )
    outcome = Outcome(RunState.COMPLETE, score=0.5, beside=0.5, best_step=1,
                      lora_params=1, head_params=1, train_seconds=1.0, pack_size=1)  # fmt: skip
    card = model_card(Run(0, {}, own), outcome, study="s", versions={})
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    compile(code, "README.md", "exec")
    assert f"\n    {outputs}\n" in code
    assert f"\nprint({call}" in code
    assert ("quantization_config=small" in code) is (quantization != "none")
    assert ("classes = ['no', \"it's\"]" in code) is ("classes" in data)
