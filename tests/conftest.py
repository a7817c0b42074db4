"""Shared fixtures: a tiny random BERT, pairs in Korean and English, a study trained on both."""

from __future__ import annotations

import os
import tempfile

# Before torch is imported anywhere: spinning thread pools make tiny trainings crawl.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.update(
    HF_HUB_OFFLINE="1",
    # Which metrics of one's own were named.
    XDG_STATE_HOME=tempfile.mkdtemp(prefix="sweep-state-"),
    HF_DATASETS_CACHE=tempfile.mkdtemp(prefix="sweep-datasets-"),
    TOKENIZERS_PARALLELISM="false",
    TRANSFORMERS_VERBOSITY="error",
    COLUMNS="80",
)
for _variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
    os.environ.pop(_variable, None)

import random
import shutil
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import chdir, closing
from pathlib import Path

import hypothesis
import pandas as pd
import pytest

from command_line import tiny_sweep, whole_sweep
from migrations import read_once as migrations_read_once
from shared import folder_of_session, made_once
from sweep.commands.cli import run_command
from sweep.core.recipe import Data, Lora, Model, Recipe, Trainer
from sweep.execute.children import warm_up

# How long an example takes depends on the machine, and no test is about that.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

NOUNS = [
    "고양이",
    "강아지",
    "아이",
    "선생님",
    "기차",
    "바다",
    "나무",
    "책",
    "cat",
    "dog",
    "train",
    "sea",
]
VERBS = ["먹는다", "본다", "읽는다", "달린다", "eats", "sees", "reads", "runs"]


def make_pairs(rows: int, seed: int) -> pd.DataFrame:
    """Pairs of four words; the score is the share of words in common, from 0 to 5."""
    rng = random.Random(seed)
    records = []
    for _ in range(rows):
        first = [rng.choice(NOUNS), rng.choice(NOUNS), rng.choice(VERBS), rng.choice(NOUNS)]
        second = [w if rng.random() < 0.5 else rng.choice(NOUNS + VERBS) for w in first]
        same = sum(a == b for a, b in zip(first, second, strict=True))
        score = round(5 * same / 4, 2)
        records.append(
            {"sentence1": " ".join(first), "sentence2": " ".join(second), "score": score}
        )
    return pd.DataFrame(records)


#: Fixtures that train.
STUDIES = {"trained_study", "korean_study"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a study that the session trains; what takes long comes first."""
    for item in items:
        if STUDIES & set(getattr(item, "fixturenames", ())):
            item.add_marker("trains")
    items.sort(key=lambda item: [item.get_closest_marker(m) is None for m in ("trains", "long")])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Where anything trains, have the server of child processes import what all children need.

    It imports what the first of them asks for, whichever test that is.
    """
    if any(item.get_closest_marker("trains") for item in session.items):
        warm_up("sweep.export.scoring")


@pytest.fixture(scope="session", autouse=True)
def _migrations() -> Iterator[None]:
    with migrations_read_once():
        yield


@pytest.fixture(autouse=True)
def _only_marked_tests_train(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = sys.modules.get("sweep.train.trainer")
    if trainer is not None and not request.node.get_closest_marker("trains"):
        monkeypatch.setattr(trainer.PackTrainer, "train_to_the_end", _refuse)


def _refuse(*_: object) -> None:
    pytest.fail("A test that trains needs `@pytest.mark.trains`.")


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of_session(tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_model(session_folder: Path) -> Path:
    """Folder of a random BERT: 2 layers, 32 wide, with a tokenizer for the words above."""
    return made_once(session_folder / "모델", _make_tiny_model) / "tiny bert"


def _make_tiny_model(parent: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = parent / "tiny bert"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *NOUNS, *VERBS]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(words), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(vocabulary), strip_accents=False)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def pair_files(session_folder: Path) -> dict[str, Path]:
    """`train`, `dev` and `test` CSV files with Korean names and text."""
    folder = made_once(session_folder / "문장 쌍", _make_pair_files)
    return {split: folder / f"{split} 자료.csv" for split in ("train", "dev", "test")}


def _make_pair_files(folder: Path) -> None:
    sizes = {"train": 96, "dev": 40, "test": 40}
    for seed, (split, rows) in enumerate(sizes.items()):
        make_pairs(rows, seed).to_csv(folder / f"{split} 자료.csv", index=False)


@pytest.fixture(scope="session")
def recipe(tiny_model: Path, pair_files: dict[str, Path]) -> Recipe:
    """A training of a second or less."""
    return Recipe(
        model=Model(path=str(tiny_model)),
        data=Data(
            source="files",
            train=str(pair_files["train"]),
            dev=str(pair_files["dev"]),
            max_length=32,
        ),
        lora=Lora(r=4, lora_alpha=8, lora_dropout=0.1, target_modules="qv"),
        trainer=Trainer(
            learning_rate=5e-3,
            max_steps=6,
            eval_strategy="steps",
            eval_steps=3,
            per_device_train_batch_size=8,
            precision="fp32",
        ),
    )


@pytest.fixture
def arguments(tiny_model: Path, pair_files: dict[str, Path]) -> list[str]:
    return tiny_sweep(tiny_model, pair_files)


@pytest.fixture
def study_arguments(tiny_model: Path, pair_files: dict[str, Path]) -> list[str]:
    """The command line of `trained_study`."""
    return whole_sweep(tiny_model, pair_files)


@pytest.fixture(scope="session")
def trained_study(session_folder: Path, tiny_model: Path, pair_files: dict[str, Path]) -> Path:
    """A study that the command line has planned and trained, once a session: only to be read."""

    def train(home: Path) -> None:
        with chdir(home):
            for mode in ("plan", "run"):
                assert run_command([*whole_sweep(tiny_model, pair_files), f"mode={mode}"]) == 0
            # As at the end of a process: nothing of the search waits beside its file.
            with closing(sqlite3.connect("results/작은_실험/study.db")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    return made_once(session_folder / "학습", train) / "results" / "작은_실험"


@pytest.fixture
def copied_study(trained_study: Path, home: Path) -> Path:
    """A copy of `trained_study` in `home`, where its command line finds it."""
    copy = home / "results" / trained_study.name
    shutil.copytree(trained_study, copy)
    return copy


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a Korean name to start in."""
    folder = tmp_path / "내 폴더"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def wandb_at_home_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings, no files of the machine's user; a fresh wandb for every test."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home data"))
    import wandb

    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    # One that was left behind may still be at work on its last call.
    for thread in threading.enumerate():
        if thread.name == "wandb":
            thread.join(30)
    wandb.teardown()
