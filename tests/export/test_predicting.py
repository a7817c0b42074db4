"""A file of any size is scored window by window, and a second run goes on where one was ended."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_line import run
from exports import exported_family, texts
from sweep.core.errors import Interrupted
from sweep.data import windows
from sweep.export import scorers
from sweep.export.answer_parts import AnswerParts
from sweep.export.predicting import Answered, predict

BAD = {3: ("", "b"), 17: ("a", "  ")}


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("내보낸 것")
    return exported_family(folder, "bert", ("merged",))[0]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(windows, "WINDOW", 8)
    monkeypatch.setattr(scorers, "_BATCH", 3)
    monkeypatch.chdir(tmp_path)


def written(*, bad: bool = True) -> list[tuple[str, str]]:
    pairs = texts(30, seed=5)
    if bad:
        pairs = [BAD.get(place, pair) for place, pair in enumerate(pairs)]
    frame = pd.DataFrame(pairs, columns=["sentence1", "sentence2"])
    frame.assign(score=np.arange(30) % 6).to_csv("쌍.csv", index=False)
    return pairs


@pytest.mark.long
def test_every_kind_of_file_holds_the_same_rows_in_their_order(
    best: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pairs = written()
    readers = {
        "a.csv": pd.read_csv,
        "a.tsv": lambda path: pd.read_csv(path, sep="\t"),
        "a.jsonl": lambda path: pd.read_json(path, lines=True),
        "a.parquet": pd.read_parquet,
    }
    found = {}
    for name, read in readers.items():
        code, out, err = run("predict", str(best), "쌍.csv", "--out", name, capfd=capfd)
        assert (code, out) == (0, ""), err
        assert "28 pairs scored" in err
        assert "2 rows of 30 without a score" in err
        cells = read(name).astype(object).replace({"": None})
        found[name] = cells.where(cells.notna(), None)
    assert not list(Path().glob("*.parts"))
    table = found["a.csv"]
    assert table.columns.tolist() == ["text_a", "text_b", "label", "prediction", "problem"]
    good = [place for place in range(30) if place not in BAD]
    assert [(table["text_a"][i], table["text_b"][i]) for i in good] == [pairs[i] for i in good]
    assert table["problem"].notna().tolist() == [place in BAD for place in range(30)]
    assert "data row 4" in table["problem"][3]
    for other in found.values():
        pd.testing.assert_frame_equal(other, table)
    code, out, _ = run("predict", str(best), "쌍.csv", capfd=capfd)
    assert (code, out) == (0, Path("a.csv").read_text("utf-8"))


@pytest.mark.long
def test_windows_forms_and_batches_do_not_change_a_score(
    best: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(bad=False)
    found = predict(best, Path("쌍.csv"), {}, tell=print)
    assert found.columns.tolist() == ["text_a", "text_b", "label", "prediction"]
    by_form = predict(best / "merged", Path("쌍.csv"), {}, tell=print)
    monkeypatch.setattr(windows, "WINDOW", 4096)
    whole = predict(best, Path("쌍.csv"), {}, tell=print)
    assert whole["prediction"].tolist() == pytest.approx(found["prediction"].tolist(), abs=1e-5)
    assert by_form["prediction"].tolist() == pytest.approx(found["prediction"].tolist(), abs=1e-5)


@pytest.mark.long
def test_job_that_was_ended_goes_on_and_refuses_other_pairs(
    best: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written()
    ask = ("predict", str(best), "쌍.csv", "--out", "점수.csv")
    assert run(*ask, capfd=capfd)[0] == 0
    whole = Path("점수.csv").read_text("utf-8")
    Path("점수.csv").unlink()
    write, kept = AnswerParts.write, list[int]()

    def ended_in_the_third(self: AnswerParts, answered: Answered) -> None:
        if len(kept) == 2:
            raise Interrupted(143)
        kept.append(answered.window.number)
        write(self, answered)

    with monkeypatch.context() as patch:
        patch.setattr(AnswerParts, "write", ended_in_the_third)
        code, _, err = run(*ask, capfd=capfd)
    assert (code, kept, Path("점수.csv").exists()) == (143, [0, 1], False)
    assert "the same command goes on" in err

    again = list[int]()

    def told(self: AnswerParts, answered: Answered) -> None:
        again.append(answered.window.number)
        write(self, answered)

    with monkeypatch.context() as patch:
        patch.setattr(AnswerParts, "write", told)
        pairs = Path("쌍.csv").read_text("utf-8")
        Path("쌍.csv").write_text(pairs.replace("sentence2,", "sentence2 ,"), "utf-8")
        code, _, err = run(*ask, capfd=capfd)
        assert (code, again) == (2, [])
        assert "the file of pairs changed" in err
        assert "--restart" in err
        Path("쌍.csv").write_text(pairs, "utf-8")
        code, _, err = run(*ask, capfd=capfd)
    assert (code, again) == (0, [2, 3])
    assert "goes on after 16 of 30 rows" in err
    assert Path("점수.csv").read_text("utf-8") == whole
    assert not Path("점수.csv.parts").exists()


def test_what_is_begun_is_thrown_away_only_when_it_is_ours(
    best: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written()
    ask = ("predict", str(best), "쌍.csv", "--out", "a.csv", "--restart")
    Path("a.csv.parts").mkdir()
    mine = Path("a.csv.parts/thesis.txt")
    mine.write_text("precious")
    code, _, err = run(*ask, capfd=capfd)
    assert code == 2
    assert "holds something else" in err
    assert mine.read_text() == "precious"
    mine.unlink()
    Path("a.csv.parts/job.json").write_text(json.dumps({"pairs": "others"}), "utf-8")
    assert run(*ask, capfd=capfd)[0] == 0


def test_form_that_is_not_there_is_a_mistake(best: Path, capfd: pytest.CaptureFixture[str]) -> None:
    written()
    code, _, err = run("predict", str(best), "쌍.csv", "--form", "onnx", capfd=capfd)
    assert code == 2
    assert "holds adapter, merged" in err
    assert "export STUDY --onnx" in err
