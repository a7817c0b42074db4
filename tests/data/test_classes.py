"""Labels by name: found, numbered, refused; files in the shapes of KLUE-NLI and of NSMC."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sweep.config.compose import load_settings
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.classes import class_findings, class_names, classes_in
from sweep.data.demo.nli_demo import CLASSES, generate_nli
from sweep.data.guard import guard
from sweep.data.pairs import load_split

PREMISES = ["고양이가 먹는다.", "기차가 달린다.", "아이가 책을 읽는다.", "바다가 보인다."]


@pytest.fixture
def nli(tmp_path: Path) -> Data:
    """KLUE's own files: a list of objects, classes by name."""
    for split, labels in (
        ("train", ["entailment", "neutral", "contradiction", "neutral"]),
        ("dev", ["neutral", "entailment", "neutral", "entailment"]),
    ):
        rows = [
            {"guid": f"{split}-{n}", "premise": p, "hypothesis": f"{p} {split}", "gold_label": one}
            for n, (p, one) in enumerate(zip(PREMISES, labels, strict=True))
        ]
        path = tmp_path / f"klue-nli-{split}.json"
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return from_group("klue_nli", tmp_path / "klue-nli-train.json", tmp_path / "klue-nli-dev.json")


@pytest.fixture
def nsmc(tmp_path: Path) -> Data:
    """NSMC's own files: tab separated, quotes that do not quote, labels 0 and 1."""
    for split, labels in (("ratings_train", "0110"), ("ratings_test", "1001")):
        lines = [
            f'{n}\t"{text} {split}\t{label}' if n == 1 else f"{n}\t{text} {split}\t{label}"
            for n, (text, label) in enumerate(zip(PREMISES, labels, strict=True))
        ]
        text = "\n".join(["id\tdocument\tlabel", *lines])
        (tmp_path / f"{split}.txt").write_text(text + "\n", encoding="utf-8")
    return from_group("nsmc", tmp_path / "ratings_train.txt", tmp_path / "ratings_test.txt")


def from_group(name: str, train: Path, dev: Path) -> Data:
    files = ["data.source=files", f"data.train={train}", f"data.dev={dev}"]
    settings, _ = load_settings(["task=classification", f"data={name}", *files])
    return settings.data


def test_klue_nli_s_files_have_classes_by_name_and_a_class_that_dev_lacks_is_told(
    nli: Data,
) -> None:
    train = load_split(nli, "train")
    assert nli.classes == CLASSES
    assert class_names(train.labels, CLASSES) == [  # type: ignore[arg-type]
        *("entailment", "neutral", "contradiction", "neutral")
    ]
    said = guard(replace(nli, on_alike="warn")).sentences
    assert "dev has no row of 1 class: contradiction" in said


def test_numbers_of_the_hub_are_places_among_the_classes(nli: Data, tmp_path: Path) -> None:
    rows = pd.DataFrame({"premise": PREMISES, "hypothesis": PREMISES[::-1], "label": [2, 0, 1, 2]})
    rows.to_parquet(tmp_path / "hub.parquet")
    pairs = load_split(replace(nli, dev=str(tmp_path / "hub.parquet")), "dev")
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [2, 0, 1, 2]


def test_nsmc_s_files_are_single_sentences(nsmc: Data) -> None:
    train = load_split(nsmc, "train")
    assert train.single
    assert set(train.text_b) == {""}
    assert class_names(train.labels, nsmc.classes) == [  # type: ignore[arg-type]
        *("negative", "positive", "positive", "negative")
    ]
    assert [one.kind for one in guard(nsmc).findings if one.level != "info"] == []


@pytest.mark.long
def test_classes_are_what_train_holds_numbers_by_size(nsmc: Data, nli: Data) -> None:
    assert classes_in(replace(nsmc, classes=None)) == ("0", "1")
    assert classes_in(replace(nli, classes=None)) == ("contradiction", "entailment", "neutral")
    same = replace(nsmc, classes=("0", "1"))
    assert load_split(same, "train").labels.tolist() == [0, 1, 1, 0]  # type: ignore[union-attr]


def test_label_that_is_no_class_is_named_with_its_row(nli: Data) -> None:
    with pytest.raises(DataError, match=r"data row 3.*unknown are .contradiction") as refused:
        load_split(replace(nli, classes=("entailment", "neutral")), "train")
    assert "data.classes" in str(refused.value)


def test_labels_that_are_scores_are_no_classes(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    rows = pd.DataFrame({"sentence1": map(str, range(300)), "score": np.arange(300) / 7})
    rows.assign(sentence2="b").to_csv(path, index=False)
    with pytest.raises(DataError, match=r"at most 200 classes"):
        classes_in(Data(source="files", train=str(path), dev=str(path)))


def test_rare_and_missing_classes_are_told() -> None:
    labels = np.zeros(400)
    labels[0] = 1
    found = class_findings({"dev": labels}, ["a", "b", "c"])
    assert [one.sentence for one in found if one.level == "warn"] == [
        "dev has no row of 1 class: c",
        "less than 1% of dev is of b",
    ]


def test_generated_pairs_are_the_same_again_and_no_word_gives_the_class_away() -> None:
    found, again = generate_nli(train=600, dev=60, test=60), generate_nli(train=60, dev=60, test=60)
    assert found["dev"].equals(again["dev"])
    train = found["train"]
    shares = train["label"].value_counts(normalize=True)
    assert shares.min() > 0.25
    assert set(shares.index) == set(CLASSES)
    denies = train["sentence2"].str.contains(r"\bnot\b")
    by_class = denies.groupby(train["label"]).mean()
    assert by_class.max() < 0.75
    assert by_class.min() > 0.02
