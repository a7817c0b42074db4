"""Files as people have them, by the command line: a sweep trains on them, `predict` reads them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from command_line import run, table

BEST = "results/작은_실험/best"
ROWS = [
    ("고양이 먹는다", "강아지 먹는다", "2.5"),
    ("기차 본다", "바다 본다", "1.0"),
    ("책 읽는다", "책 읽는다", "5.0"),
]


@pytest.mark.trains
def test_one_file_with_all_that_tables_come_with_trains_a_sweep(
    home: Path,
    arguments: list[str],
    pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    parts = []
    for split, named in (("train", "train"), ("dev", "valid")):
        pairs = pd.read_csv(pair_files[split])
        commas = [str(score).replace(".", ",") for score in pairs["score"]]
        parts.append(pairs.assign(score=commas, split=named))
    text = pd.concat(parts).to_csv(sep=";", index=False, lineterminator="\r\n")
    above = "sep=;\r\nscores of the second round\r\n"
    odd = "고양이;개;;train\r\n;;;\r\n;;;\r\n"
    Path("all.csv").write_bytes(f"\ufeff{above}{text}{odd}".encode())
    reading = ["data.train=all.csv", "data.dev=all.csv", "data.where={split: train}"]
    kept = [one for one in arguments if not one.startswith(("data.train=", "data.dev="))]
    code, _, err = run(*kept, *reading, capfd=capfd)
    assert code == 2
    assert "data.unscored=drop" in err
    code, out, err = run(*kept, *reading, "data.unscored=drop", capfd=capfd)
    assert code == 0, err
    assert "96 train and 40 dev pairs" in out
    shown = " ".join(out.split())
    assert "left out of train: 2 rows without any cell, 1 row without a score, 40 rows" in shown
    assert "1 line above the header" in shown
    plain, _, _ = run(*arguments, "name=plain", capfd=capfd)
    assert plain == 0
    scores = [
        table(Path("results") / name).sort_values("trial")["pearson"].tolist()
        for name in ("작은_실험", "plain")
    ]
    assert scores[0] == scores[1]


def predicted(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[pd.DataFrame, str]:
    out = Path("scored.csv")
    code, _, err = run("predict", BEST, *arguments, "--out", str(out), capfd=capfd)
    assert code == 0, err
    return pd.read_csv(out), err


def text_of(separator: str, end: str, *, score: str = "score") -> str:
    rows = [("sentence1", "sentence2", score), *ROWS]
    return end.join(separator.join(row) for row in rows) + end


def test_every_form_gives_the_same_scores(
    home: Path, copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = text_of(",", "\n")
    Path("a.csv").write_text(plain, "utf-8")
    expected = predicted("a.csv", capfd=capfd)[0]
    swapped = plain.replace(".", "^").replace(",", ";").replace("^", ",")
    table = pd.DataFrame(ROWS, columns=["sentence1", "sentence2", "score"]).astype({"score": float})
    forms: dict[str, tuple[bytes, list[str]]] = {
        "cr": (text_of(",", "\r").encode(), []),
        "told": (b"sep=;\r\n" + text_of(";", "\r\n").encode(), []),
        "decimal": (swapped.encode("utf-8-sig"), []),
        "decimal set": (swapped.encode(), ["--decimal", ",", "--separator", ";"]),
        "title": (f"a title\n\n{plain}".encode(), ["--skip-lines", "2"]),
        "utf-16": (plain.encode("utf-16"), []),
        "euc-kr": (plain.encode("euc-kr"), ["--encoding", "euc-kr"]),
        "tsv by pandas": (
            table.to_csv(sep="\t", index=False, quoting=2).encode(),
            ["--quoting", "true"],
        ),
        "columns": (table.to_json().encode(), []),
        "packed": (gzip.compress(table.to_json(orient="split").encode()), []),
        "no header": (
            plain.partition("\n")[2].encode(),
            ["--header", "false", "--text-a", "0", "--text-b", "1", "--label", "2"],
        ),
    }
    for name, (content, flags) in forms.items():
        Path("b.csv").write_bytes(content)
        scored, _ = predicted("b.csv", *flags, capfd=capfd)
        pd.testing.assert_frame_equal(scored, expected, obj=name)


def test_rows_and_cells_are_chosen_by_flags(
    home: Path, copied_study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{a} / {b},{split}" for (a, b, _), split in zip(ROWS, ("train", "dev", "x"), strict=True)
    ]
    Path("a.csv").write_text("\n".join(["Text,split", *rows, ","]), "utf-8")
    flags = [
        "--text-a",
        "Text",
        "--split-text",
        "/",
        "--where",
        "split=train",
        "--where",
        "split=x",
    ]
    scored, said = predicted("a.csv", *flags, capfd=capfd)
    assert scored["text_a"].tolist() == [ROWS[0][0], ROWS[2][0]]
    assert scored["text_b"].tolist() == [ROWS[0][1], ROWS[2][1]]
    assert "left out: 1 row without any cell, 1 row that" in said


@pytest.mark.parametrize(
    ("content", "flags", "said"),
    [
        (b"\x80\x04\x95" + bytes(40), [], "pickle"),
        (b"", [], "empty"),
        (
            "sentence1,sentence2\n가,나\n".encode("euc-kr"),
            ["--encoding", "utf-8"],
            "--encoding cp949",
        ),
        (b"a title\nx,y\n1,2\n", [], "--skip-lines"),
        (b"x,y\n1,2\n", [], "--text-a"),
        (b'sentence1,sentence2\n"a" b,c\n', ["--quoting", "true"], "--quoting"),
        (b"sentence1,sentence2\na,b\n", ["--where", "split=test"], "split"),
    ],
)
def test_what_is_refused_names_the_flag_that_helps(
    home: Path,
    copied_study: Path,
    capfd: pytest.CaptureFixture[str],
    content: bytes,
    flags: list[str],
    said: str,
) -> None:
    Path("a.csv").write_bytes(content)
    code, _, err = run("predict", BEST, "a.csv", *flags, capfd=capfd)
    assert code == 2
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "flags",
    [["--encoding", "utf-9"], ["--quoting", "maybe"], ["--skip-lines", "-1"], ["--where", "split"]],
)
def test_flag_that_means_nothing_is_refused(
    flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("predict", "best", "a.csv", *flags, capfd=capfd)
    assert caught.value.code == 2
    assert flags[0] in capfd.readouterr().err


def test_study_from_before_these_settings_goes_on(
    home: Path,
    copied_study: Path,
    study_arguments: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = copied_study / "config.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    for key in ("skip_lines", "decimal", "split_text", "where", "unscored"):
        del content["data"][key]
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")
    before = (copied_study / "table.csv").read_text("utf-8")
    code, _, err = run(*study_arguments, capfd=capfd)
    assert code == 0, err
    assert (copied_study / "table.csv").read_text("utf-8") == before
