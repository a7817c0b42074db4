"""Every form of an export scores as `predict` does, loaded by whoever it is for."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, PeftModel
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from exports import MAX_LENGTH, WITH_HEAD, exported_family, texts
from sweep.export.formats import Format, FormatScore
from sweep.export.predicting import predict
from sweep.stats.interval import Interval

PAIRS = texts(12, seed=7)

#: Refuses what the folder must do without, then scores all pairs and one alone.
WITHOUT_TORCH = """
import json, sys
from pathlib import Path
BANNED = {"torch", "transformers", "onnx", "sweep", "peft", "pandas", "scipy"}
class Blocker:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in BANNED:
            raise ImportError(name)
sys.meta_path.insert(0, Blocker())
pairs = json.load(sys.stdin)
found = []
for folder in sys.argv[1:]:
    sys.path.insert(0, folder)
    sys.modules.pop("score", None)
    from score import scorer
    score = scorer(Path(folder))
    found.append([float(s) for s in [*score(pairs), *score(pairs[:1])]])
json.dump(found, sys.stdout)
"""


def without_torch(*folders: Path) -> list[np.ndarray]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, folders)],
        input=json.dumps(PAIRS), capture_output=True, text=True, check=True, cwd=folders[0],
    )  # fmt: skip
    return [np.array(scores) for scores in json.loads(done.stdout)]


def scored_by_its_script(folder: Path) -> np.ndarray:
    """The same in this process, which saves the start of another one."""
    score = runpy.run_path(str(folder / "score.py"))["scorer"](folder)
    return np.array([*score(PAIRS), *score(PAIRS[:1])], np.float64)


def predicted_by_the_program(folder: Path, place: Path) -> Any:
    file = place / "pairs.csv"
    pd.DataFrame(PAIRS, columns=["sentence1", "sentence2"]).to_csv(file, index=False)
    return predict(folder, file, {}, tell=lambda _: None)["prediction"].to_numpy()


@torch.no_grad()
def scored_by_transformers(model: Any, tokenizer: Any) -> Any:
    first, second = map(list, zip(*PAIRS, strict=True))
    # Nothing but what was saved says where pairs are cut.
    assert tokenizer.model_max_length == MAX_LENGTH
    batch = tokenizer(first, second, truncation=True, padding=True, return_tensors="pt")
    return model.eval()(**batch).logits.reshape(-1).double().numpy()


@pytest.mark.long
@pytest.mark.parametrize(
    "family", ["bert", "roberta", "distilbert", "electra", "modernbert", "qwen3"]
)
def test_every_form_scores_as_predict_wherever_it_is_loaded(family: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    best, verified = exported_family(tmp_path, family, ("merged", "onnx", "int8"))
    expected = predicted_by_the_program(best, tmp_path)
    assert np.ptp(expected) > 0.01

    adapter, merged = str(best / "adapter"), str(best / "merged")
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    # Of a base with another head, its own configuration says how many outputs there are.
    outputs = {} if family in WITH_HEAD else {"num_labels": 1}
    by_peft = AutoPeftModelForSequenceClassification.from_pretrained(adapter, **outputs)
    by_name = AutoModelForSequenceClassification.from_pretrained(adapter, **outputs)
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=1)
    for model in (by_peft, by_name, PeftModel.from_pretrained(base, adapter)):
        assert 5 * scored_by_transformers(model, tokenizer) == pytest.approx(expected, abs=1e-5)

    own = AutoModelForSequenceClassification.from_pretrained(merged)
    known = scored_by_transformers(own, AutoTokenizer.from_pretrained(merged))
    assert known == pytest.approx(expected, abs=1e-5)
    assert CrossEncoder(merged, device="cpu").predict(PAIRS) == pytest.approx(expected, abs=1e-5)
    reader = pipeline("text-classification", model=merged, device="cpu", function_to_apply="none")
    one, other = PAIRS[0]
    assert reader({"text": one, "text_pair": other})["score"] == pytest.approx(
        expected[0], abs=1e-5
    )

    onnx, int8 = (scored_by_its_script(best / name) for name in ("onnx", "int8"))
    assert onnx == pytest.approx([*expected, expected[0]], abs=1e-5)
    for form, scores in (("onnx", onnx), ("int8", int8)):
        assert predicted_by_the_program(best / form, tmp_path) == pytest.approx(
            scores[:-1], abs=1e-5
        )
    (said,) = [form.largest for form in verified.formats if form.name == "int8"]
    assert np.abs(int8[:-1] - expected).max() <= 3 * said + 0.01


@pytest.mark.long
@pytest.mark.parametrize(
    ("family", "forms"),
    [("bert", ("merged", "onnx")), ("modernbert", ("merged",)), ("qwen3", ("merged",))],
)
def test_forms_of_a_bi_encoder_score_as_predict(
    family: str, forms: tuple[Format, ...], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    best, verified = exported_family(tmp_path, family, forms, encoder="bi")
    expected = predicted_by_the_program(best, tmp_path)
    assert [form.name for form in verified.formats] == [*forms]
    for folder in (best / "adapter", best / "merged"):
        model = SentenceTransformer(str(folder), device="cpu")
        sides = (model.encode(list(side)) for side in zip(*PAIRS, strict=True))
        cosine = model.similarity_pairwise(*sides)
        assert (5 * cosine).numpy() == pytest.approx(expected, abs=1e-5)
    if "onnx" not in forms:
        return
    (onnx,) = without_torch(best / "onnx")
    assert onnx == pytest.approx([*expected, expected[0]], abs=1e-5)
    # Where on this machine a node was made is nobody's business.
    assert str(Path(torch.__file__).parent).encode() not in (best / "onnx/model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("low", "high", "is_safe"),
    [(-0.004, 0.001, True), (-0.006, 0.001, False), (0.001, 0.002, True)],
)
def test_form_is_warned_of_unless_its_loss_is_surely_small(
    low: float, high: float, is_safe: bool
) -> None:
    found = FormatScore("int8", "Pearson", 0.8, 0.1, Interval((low + high) / 2, low, high))
    assert found.is_safe is is_safe
    assert (found.warning is None) is is_safe
