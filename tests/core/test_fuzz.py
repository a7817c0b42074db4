"""Whatever bytes stand in a file and whatever words on the command line: a mistake is told as one.

Seconds in the suite; `make fuzz` draws for minutes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from studies import GRID, find_out, study
from sweep.commands.as_json import status_json, verdict_json
from sweep.commands.compare import sides_of
from sweep.config.compose import load_settings
from sweep.core.errors import UserMistake
from sweep.core.recipe import SEARCHABLE_KEYS, Data
from sweep.data.pairs import load_split
from sweep.search.study_db import database_trouble_told, open_study
from sweep.search.trials import point_of
from sweep.space.space import parse_space
from sweep.study.study import Study

pytestmark = pytest.mark.long

#: Of each kind; hypothesis itself has a hundred.
EXAMPLES = int(os.environ.get("SWEEP_FUZZ", "15"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # To find a shorter example of a fault takes minutes.
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
    derandomize="SWEEP_FUZZ" not in os.environ,
)

SIGNS = "a0가 \"'`,;:{}[]()|&*!?%@#=+-~$\\/.\n\t\r\0\x1b\u202e\ufeff\ud7ff<>_"
TEXTS = st.text(SIGNS, max_size=12) | st.text(max_size=8)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats()
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@contextlib.contextmanager
def only_mistakes(culprit: str = "") -> Iterator[None]:
    """Passes where nothing is wrong, or where a mistake is told in words that name the culprit.

    Whatever else is raised comes through, and fails the test.
    """
    try:
        yield
    except UserMistake as mistake:
        told = str(mistake).strip()
        assert told, "a mistake without words"
        assert culprit in told
        assert "Traceback" not in told


# -- the command line ----------------------------------------------------------------------------

KEYS = st.sampled_from(
    [*SEARCHABLE_KEYS, "search", "search.space", "search.seeds", "name", "model", "+experiment"]
)
WORDS = TEXTS | NUMBERS.map(str) | VALUES.map(lambda value: json.dumps(value, default=str))


@settings(fuzzed, max_examples=max(3, EXAMPLES // 3))
@given(st.lists(st.tuples(KEYS, WORDS).map("=".join) | TEXTS, min_size=1, max_size=2))
def test_overrides(words: list[str]) -> None:
    with only_mistakes():
        load_settings([word.encode("utf-8", "replace").decode() for word in words])


SPACES = st.dictionaries(
    st.sampled_from(["lora.r", "lora.target_modules", "trainer.learning_rate", "mine"]) | TEXTS,
    VALUES
    | st.fixed_dictionaries({"low": NUMBERS, "high": NUMBERS}, optional={"log": st.booleans()})
    | st.dictionaries(TEXTS, st.dictionaries(st.sampled_from(SEARCHABLE_KEYS), VALUES, max_size=2)),
    max_size=3,
)


@fuzzed
@given(SPACES)
def test_spaces(content: dict[str, Any]) -> None:
    with only_mistakes():
        parse_space(content, valid_keys=SEARCHABLE_KEYS)


@settings(fuzzed, max_examples=max(3, EXAMPLES // 3))
@given(VALUES | SPACES.map(lambda space: {"search": {"space": space}}), st.booleans())
def test_experiments(tmp_path_factory: pytest.TempPathFactory, content: Any, torn: bool) -> None:
    text = yaml.safe_dump(content, allow_unicode=True)
    path = tmp_path_factory.mktemp("e") / "mine.yaml"
    path.write_text(f"# @package _global_\n{text[: len(text) // 2] if torn else text}", "utf-8")
    with only_mistakes():
        load_settings([f"+experiment={path}"])


# -- data ----------------------------------------------------------------------------------------

PLAIN = "sentence1,sentence2,score\n" + "".join(f"a{n} b,c d{n},{n % 6}\n" for n in range(8))
RECORDS = [{"sentence1": f"a{n}", "sentence2": "b", "score": n % 6} for n in range(6)]


def mangled(content: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some put in, taken out or changed; or any at all."""
    places = st.integers(0, len(content))
    put_in = st.tuples(places, places, st.binary(max_size=6)).map(
        lambda cut: content[: cut[0]] + cut[2] + content[max(cut[0], cut[1]) :]
    )
    flipped = st.tuples(places, st.integers(0, 255)).map(
        lambda at: content[: at[0]] + bytes([at[1]]) + content[at[0] + 1 :]
    )
    return put_in | flipped | places.map(lambda end: content[:end]) | st.binary(max_size=60)


@fuzzed
@given(
    mangled(PLAIN.encode())
    | mangled(json.dumps(RECORDS).encode())
    | st.lists(VALUES, max_size=3).map(lambda rows: json.dumps(rows).encode())
    | st.lists(st.lists(TEXTS, max_size=4), max_size=4).map(
        lambda rows: "\n".join(map(",".join, rows)).encode("utf-8", "surrogatepass")
    ),
    st.sampled_from(["csv", "tsv", "json", "jsonl", "parquet", "txt", "gz"]),
)
def test_data(tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str) -> None:
    path = tmp_path_factory.mktemp("d") / f"mine.{ending}"
    path.write_bytes(content)
    with only_mistakes("mine."):
        load_split(Data(source="files", train=str(path), dev=str(path)), "train")


# -- a study -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "sound"
    study(folder, GRID[:4])
    find_out(folder)
    open_study(folder / "study.db", "s", SPACE, [0])
    with closing(sqlite3.connect(folder / "study.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


SPACE = parse_space({"lora.r": [2, 8]}, valid_keys=["lora.r"])
FILES = (
    *("config.yaml", "table.csv", "leaderboard.csv", "verdict.json", "dev_labels.npy"),
    *("run.json", "predictions.npy", "effects.csv", "effects.json", "importance.csv"),
    *("guard.json", "plan.json", "test.json", "rank_use.csv"),
)
#: That a study gives, each from a file of its own.
PARTS = (
    *("runs", "full_runs", "leaderboard", "verdict", "confirmation", "looks", "effects"),
    *("factors", "searched_factors", "guard", "plan", "pruning", "test_scores", "baselines"),
    *("rank_use", "scoring_costs"),
)


@settings(fuzzed, max_examples=max(3, EXAMPLES // 3))
@given(st.data(), st.sampled_from(FILES))
def test_study(sound: Path, data: st.DataObject, name: str) -> None:
    folder = copy_of(sound)
    path = next(folder.rglob(name))
    content = path.read_bytes()
    path.write_bytes(data.draw(mangled(content) | VALUES.map(_written)))
    logging.disable()
    try:
        for read in (status_json, verdict_json, lambda folder: sides_of(folder, folder)):
            with only_mistakes():
                read(folder)
        for part in PARTS:
            with only_mistakes():
                getattr(Study.open(folder), part)
        with only_mistakes():
            Study.open(folder).results().write_tables()
    finally:
        logging.disable(logging.NOTSET)


def copy_of(sound: Path) -> Path:
    """Afresh for each example: tables are written anew from records that are changed."""
    folder = sound.with_name("copy")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    return folder


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


@settings(fuzzed, max_examples=max(3, EXAMPLES // 3))
@given(st.data())
def test_record_with_another_value_in_it(sound: Path, data: st.DataObject) -> None:
    """JSON that is whole, and holds what nobody has written there."""
    folder = copy_of(sound)
    path = next(folder.rglob("run.json"))
    record = inner = json.loads(path.read_bytes())
    key = data.draw(st.sampled_from(sorted(inner)))
    while isinstance(inner[key], dict) and inner[key] and data.draw(st.booleans()):
        inner = inner[key]
        key = data.draw(st.sampled_from(sorted(inner)))
    inner[key] = data.draw(VALUES)
    path.write_bytes(_written(record))
    logging.disable()
    try:
        with only_mistakes():
            Study.open(folder).results().write_tables()
        with only_mistakes():
            sides_of(folder, folder)
    finally:
        logging.disable(logging.NOTSET)


@settings(fuzzed, max_examples=max(3, EXAMPLES // 3))
@given(st.integers(0, 200_000), st.binary(min_size=1, max_size=400), st.booleans())
def test_database(sound: Path, at: int, put: bytes, torn: bool) -> None:
    path = sound.with_name("broken") / "study.db"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    content = (sound / "study.db").read_bytes()
    at %= len(content)
    path.write_bytes(content[:at] if torn else content[:at] + put + content[at + len(put) :])
    with only_mistakes("study.db"), database_trouble_told(path):
        found = open_study(path, "s", SPACE, [0])
        list(map(point_of, found.get_trials(deepcopy=False)))


@fuzzed
@given(mangled(np.arange(4.0).tobytes()))
def test_numbers(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    from sweep.core.files import read_floats

    path = tmp_path_factory.mktemp("n") / "mine.npy"
    np.save(path, np.arange(4.0))
    path.write_bytes(path.read_bytes()[:60] + content)
    with only_mistakes("mine.npy"):
        read_floats(path)
