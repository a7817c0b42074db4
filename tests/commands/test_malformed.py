"""What is no configuration, no data, no model, no study: exit code 2, the culprit by its name,
nothing trained. One list of cases a kind; what else a test says of one stands in its own room."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from odd_models import bert
from studies import GRID, study
from sweep.commands.cli import run_command
from sweep.core.errors import UserMistake
from sweep.core.recipe import Data, Lora, Model
from sweep.data.pairs import load_split
from sweep.lora.model import load_base, load_tokenizer, targets_of

pytestmark = pytest.mark.long

#: What is typed, and what the answer names.
SETTINGS = [
    # No such key, group, option or experiment.
    ("lora.rank=8", "lora.rank"),
    ("trainer.lr=1e-3", "trainer.lr"),
    ("lora.=8", "lora."),
    ("=8", "=8"),
    ("model.pth=x", "model.pth"),
    ("data.trian=x", "data.trian"),
    ("searhc.n_trials=3", "searhc"),
    ("search=tpee", "tpee"),
    ("model=bart", "bart"),
    ("executor=kubernetes", "kubernetes"),
    ("+experiment=lora_gird", "lora_gird"),
    ("+experiment=none.yaml", "none.yaml"),
    ("+experimnt=lora_grid", "experimnt"),
    ("task=translation", "translation"),
    ("hydra.run.dir=x", "hydra"),
    ("trainer.output_dir=x", "output_dir"),
    # No override at all.
    ("lora.r", "lora.r"),
    ("lora.r=[1,2", "lora.r"),
    ("search.space={a", "search.space"),
    ("lora.r=8=9", "lora.r"),
    ("~search", "search"),
    # A value of another type.
    ("lora.r=eight", "lora.r"),
    ("lora.r=2.5", "lora.r"),
    ("lora.r=null", "lora.r"),
    ("lora.r=[8]", "lora.r"),
    ("lora.lora_dropout=a", "lora.lora_dropout"),
    ("lora={r: 8", "lora"),
    ("lora.use_dora=perhaps", "lora.use_dora"),
    ("trainer.learning_rate=fast", "trainer.learning_rate"),
    ("trainer.learning_rate=nan", "trainer.learning_rate"),
    ("trainer.precision=fp8", "trainer.precision"),
    ("data.classes=3", "data.classes"),
    ("data.label_range=[0]", "data.label_range"),
    ("data.where=[a]", "data.where"),
    ("data.source=ftp", "data.source"),
    ("search.seeds=0", "search.seeds"),
    ("search.seeds=[a]", "search.seeds"),
    ("search.space=3", "search.space"),
    ("search.space=[lora.r]", "search.space"),
    ("search.objectives=[speed:max]", "speed"),
    ("mode=dance", "mode"),
    ("resume=maybe", "resume"),
    # A value out of its range.
    ("lora.r=0", "lora.r"),
    ("lora.r=-4", "lora.r"),
    ("lora.lora_dropout=1.5", "lora.lora_dropout"),
    ("trainer.learning_rate=-1", "trainer.learning_rate"),
    ("trainer.learning_rate=inf", "trainer.learning_rate"),
    ("trainer.num_train_epochs=0", "num_train_epochs"),
    ("trainer.per_device_train_batch_size=0", "per_device_train_batch_size"),
    ("data.max_length=0", "data.max_length"),
    ("data.holdout=-1", "data.holdout"),
    ("data.label_range=[5,0]", "data.label_range"),
    ("search.seeds=[]", "search.seeds"),
    ("search.seeds=[0,0]", "search.seeds"),
    ("search.seeds=[-1]", "search.seeds"),
    ("search.n_trials=0", "search.n_trials"),
    ("executor.workers=-1", "executor.workers"),
    ("confirm.top=-1", "top -1"),
    # A space that is none, and settings that do not go together.
    ("search.space={lora.r:[]}", "lora.r"),
    ("search.space={lora.rank:[8]}", "lora.rank"),
    ("search.space={lora.r:{low:8}}", "lora.r"),
    ("search.space={lora.r:{low:8,high:4}}", "lora.r"),
    ("search.space={lora.r:{low:0,high:4,log:true}}", "lora.r"),
    ("search.space={lora.r:[a]}", "lora.r"),
    ("search.space={task.metric:[pearson,spearman]}", "task.metric"),
    ("task.metric=blue", "blue"),
    ("name=../x", "name"),
    ("name=CON", "name"),
]


@pytest.mark.parametrize(("override", "culprit"), SETTINGS, ids=[o for o, _ in SETTINGS])
def test_settings(
    override: str, culprit: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command([override]) == 2
    refused(capfd.readouterr(), culprit)
    assert not (home / "results").exists()


def refused(said: Any, culprit: str) -> None:
    assert culprit in said.err
    assert "Traceback" not in said.out + said.err
    assert len(said.err.splitlines()) < 14


HEAD = "sentence1,sentence2,score\n"
ROWS = "".join(f"a{n} b,c d{n},{n % 6}\n" for n in range(12))
PLAIN = (HEAD + ROWS).encode()
#: A file's name and content, and what the answer names beside the file.
DATA: list[tuple[str, bytes, str]] = [
    ("empty.csv", b"", "empty"),
    ("head.csv", HEAD.encode(), "header at most"),
    ("names.csv", PLAIN.replace(b"score", b"rating"), "rating"),
    ("twice.csv", PLAIN.replace(b"sentence2", b"sentence1"), "sentence"),
    ("words.csv", PLAIN.replace(b",3\n", b",good\n"), "good"),
    ("blank.csv", PLAIN.replace(b",3\n", b",\n"), "data row 4"),
    ("range.csv", PLAIN.replace(b",3\n", b",7\n"), "[0, 5]"),
    ("nan.csv", PLAIN.replace(b",3\n", b",nan\n"), "data row 4"),
    ("inf.csv", PLAIN.replace(b",3\n", b",inf\n"), "data row 4"),
    ("huge.csv", PLAIN.replace(b",3\n", b",1e999\n"), "data row 4"),
    ("one.csv", HEAD.encode() + b"a,b,3\n" * 9, "everywhere"),
    ("wide.csv", PLAIN.replace(b",3\n", b",3,x,y\n"), "data row 4"),
    ("text.csv", PLAIN.replace(b"a3 b,", b","), "data row 4"),
    ("nul.csv", PLAIN.replace(b"a3 b", b"a\0b"), ""),
    ("binary.csv", bytes(range(256)) * 4, ""),
    ("utf16.csv", PLAIN.decode().encode("utf-16-le"), ""),
    ("korean.csv", PLAIN.decode().replace("a3", "가나다").encode("euc-kr"), "encoding"),
    ("page.csv", b"<!DOCTYPE html><html><body>Not found</body></html>", ""),
    ("pointer.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS"),
    ("sheet.xlsx", b"PK\x03\x04" + bytes(60), ""),
    ("pairs.pkl", b"\x80\x04\x95" + bytes(40), "pickle"),
    ("torn.csv.gz", gzip.compress(PLAIN)[:-12], ""),
    ("torn.parquet", b"PAR1" + bytes(40), ""),
    ("torn.arrow", b"ARROW1\0\0" + bytes(40), ""),
    ("torn.json", b'[{"sentence1": "a", "sentence2"', ""),
    ("deep.json", b"[" * 100_000, ""),
    ("scalar.json", b"3", ""),
    ("list.json", b"[1, 2, 3]", ""),
    ("mixed.json", b'[{"sentence1": "a"}, 3]', ""),
    ("null.json", b"null", ""),
    ("torn.jsonl", b'{"sentence1": "a", "sentence2": "b", "score": 1}\n{"sentence1"', ""),
    ("nested.jsonl", b'{"sentence1": {"a": 1}, "sentence2": ["b"], "score": 1}\n' * 3, ""),
    ("surrogate.json", b'[{"sentence1": "\\ud800", "sentence2": "b", "score": 1}]', ""),
]


@pytest.mark.parametrize(("name", "content", "culprit"), DATA, ids=[name for name, *_ in DATA])
def test_data(name: str, content: bytes, culprit: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserMistake) as mistake:
        load_split(Data(source="files", train=str(path), dev=str(path)), "train")
    assert name in str(mistake.value)
    assert culprit in str(mistake.value)


def _json(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text("utf-8"))
        (folder / name).write_text(json.dumps({**content, **changes}), "utf-8")

    return change


def _put(name: str, content: bytes) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return put


def _gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _torn(name: str) -> Callable[[Path], None]:
    return lambda folder: _put(name, (folder / name).read_bytes()[:-9])(folder)


WEIGHTS = "model.safetensors"
#: What is done to a model's folder.
MODELS: dict[str, Callable[[Path], None]] = {
    "no configuration": _gone("config.json"),
    "empty configuration": _put("config.json", b""),
    "torn configuration": _torn("config.json"),
    "list as configuration": _put("config.json", b"[]"),
    "no family": _json("config.json", model_type=None),
    "unknown family": _json("config.json", model_type="nobody-knows"),
    "code of its own": _json(
        "config.json", model_type="new", auto_map={"AutoConfig": "a.B", "AutoModel": "a.C"}
    ),
    "words as width": _json("config.json", hidden_size="wide"),
    "negative width": _json("config.json", hidden_size=-32),
    "other width": _json("config.json", hidden_size=64),
    "layers in words": _json("config.json", num_hidden_layers="two"),
    "odd heads": _json("config.json", num_attention_heads=5),
    "other words": _json("config.json", vocab_size=3),
    "no weights": _gone(WEIGHTS),
    "empty weights": _put(WEIGHTS, b""),
    "torn weights": _torn(WEIGHTS),
    "header without end": _put(WEIGHTS, b"\xff" * 64),
    "pointer in place of weights": _put(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\n"),
    "no tokenizer": _gone("tokenizer.json"),
    "torn tokenizer": _torn("tokenizer.json"),
    "list as tokenizer": _put("tokenizer.json", b"[]"),
    "tokenizer without words": _json("tokenizer.json", model={"type": "WordLevel", "vocab": {}}),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("models") / "whole")


@pytest.mark.parametrize("kind", MODELS)
def test_model(kind: str, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "culprit"
    shutil.copytree(whole, folder)
    MODELS[kind](folder)
    with pytest.raises(UserMistake, match="culprit"):
        _loaded(Model(path=str(folder)))


def _loaded(model: Model) -> None:
    """All that a sweep loads of a model."""
    tokenizer = load_tokenizer(model)
    targets_of(model, Lora())
    load_base(model, tokenizer)


def _yaml(place: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.yaml"
        content = inner = yaml.safe_load(path.read_text("utf-8"))
        *parts, last = place.split(".")
        for part in parts:
            inner = inner[part]
        inner[last] = value
        path.write_text(yaml.safe_dump(content), "utf-8")

    return change


def _cells(name: str, column: str, value: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        rows = (folder / name).read_text("utf-8").splitlines()
        place = rows[0].split(",").index(column)
        cells = [row.split(",") for row in rows[1:]]
        changed = [",".join([*row[:place], value, *row[place + 1 :]]) for row in cells]
        (folder / name).write_text("\n".join([rows[0], *changed]), "utf-8")

    return change


LAUGHS = b"a: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(
    b"%c: &%c [%s]\n" % (i, i, b",".join([b"*%c" % (i - 1)] * 10)) for i in range(98, 110)
)
SETTINGS_FILE, TABLE, BOARD = "config.yaml", "table.csv", "leaderboard.csv"
#: What is done to a study's folder, the verb that meets it, and the file that it names.
STUDIES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no settings": (_gone(SETTINGS_FILE), "status", SETTINGS_FILE),
    "empty settings": (_put(SETTINGS_FILE, b""), "status", SETTINGS_FILE),
    "words as settings": (_put(SETTINGS_FILE, b"just words"), "verdict", SETTINGS_FILE),
    "list as settings": (_put(SETTINGS_FILE, b"[1, 2]"), "report", SETTINGS_FILE),
    "no YAML": (_put(SETTINGS_FILE, b"a: [b"), "export", SETTINGS_FILE),
    "no UTF-8": (_put(SETTINGS_FILE, b"name: \xff\xfe"), "status", SETTINGS_FILE),
    "a tag of Python": (
        _put(SETTINGS_FILE, b"search: !!python/object/apply:os.system [id]"),
        "status",
        SETTINGS_FILE,
    ),
    "laughs": (_put(SETTINGS_FILE, LAUGHS), "status", SETTINGS_FILE),
    "a circle": (_put(SETTINGS_FILE, b"search: &a [*a]"), "status", SETTINGS_FILE),
    "a thousand brackets": (_put(SETTINGS_FILE, b"[" * 400), "status", SETTINGS_FILE),
    "a day that is none": (_put(SETTINGS_FILE, b"a: 2026-02-31"), "status", SETTINGS_FILE),
    "newer format": (_yaml("format", 99), "report", "format 99"),
    "format in words": (_yaml("format", "new"), "report", "format new"),
    "no search": (_yaml("search", None), "verdict", SETTINGS_FILE),
    "no space": (_yaml("search.space", 3), "export", SETTINGS_FILE),
    "space of no key": (_yaml("search.space", {"lora.rank": [3]}), "status", SETTINGS_FILE),
    "seeds in words": (_yaml("search.seeds", ["../x"]), "status", SETTINGS_FILE),
    "no seeds": (_yaml("search.seeds", []), "status", SETTINGS_FILE),
    "rank in words": (_yaml("lora.r", "wide"), "report", SETTINGS_FILE),
    "unknown key": (_yaml("lora.rank", 3), "report", SETTINGS_FILE),
    "unknown metric": (_yaml("task.metric", "blue"), "verdict", SETTINGS_FILE),
    "model that is none": (_yaml("model", [1]), "export", SETTINGS_FILE),
    "no table": (_put(TABLE, b"\xff\xfe\0a,b"), "status", TABLE),
    "torn quotes": (_put(TABLE, b'trial,"config_id\n1,2\n3'), "status", TABLE),
    "table of others": (_put(TABLE, b"a,b\n1,2\n"), "status", TABLE),
    "state of nobody": (_cells(TABLE, "state", "asleep"), "status", TABLE),
    "seed in words": (_cells(TABLE, "seed", "one"), "status", TABLE),
    "no state": (_cells(TABLE, "state", ""), "status --json", TABLE),
    "score in words": (_cells(TABLE, "pearson", "good"), "status --json", TABLE),
    "leaderboard of others": (_put(BOARD, b"a,b\n1,2\n"), "status", BOARD),
    "rank in the board": (_cells(BOARD, "rank", "first"), "status", BOARD),
    "mean in the board": (_cells(BOARD, "mean", "high"), "status --json", BOARD),
    "no record": (lambda folder: shutil.rmtree(folder / "runs"), "compare", "run.json"),
    "no labels": (_gone("dev_labels.npy"), "compare", "dev_labels.npy"),
    "labels of others": (
        lambda folder: np.save(folder / "dev_labels.npy", np.zeros(3)),
        "compare",
        "predictions.npy",
    ),
    "labels in words": (
        lambda folder: np.save(folder / "dev_labels.npy", np.array(["a"])),
        "compare",
        "dev_labels.npy",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "sound"
    study(folder, GRID)
    return folder


@pytest.mark.parametrize("kind", STUDIES)
def test_study(kind: str, sound: Path, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    change, line, culprit = STUDIES[kind]
    shutil.copytree(sound, home / "culprit")
    change(home / "culprit")
    verb, *flags = line.split()
    others = [str(sound)] if verb == "compare" else []
    assert run_command([verb, "culprit", *others, *flags]) == 2
    refused(capfd.readouterr(), culprit)


def test_there_are_enough_of_them() -> None:
    assert len(SETTINGS) + len(DATA) + len(MODELS) + len(STUDIES) >= 120
