"""Shared fixtures: a tiny random BERT with a Korean and English vocabulary, and pair files."""

from __future__ import annotations

import os
import tempfile

# Before torch is imported anywhere: spinning thread pools make tiny trainings crawl.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_CACHE=tempfile.mkdtemp(prefix="sweep-datasets-"),
    TOKENIZERS_PARALLELISM="false",
    TRANSFORMERS_VERBOSITY="error",
    COLUMNS="80",
)
for _variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
    os.environ.pop(_variable, None)

import random
from pathlib import Path

import hypothesis
import pandas as pd
import pytest

from sweep.core.recipe import Data, Lora, Model, Recipe, Trainer

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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random BERT: 2 layers, 32 wide, with a tokenizer for the words above."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("모델") / "tiny bert"
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
    return folder


@pytest.fixture(scope="session")
def pair_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`train`, `dev` and `test` CSV files with Korean names and text."""
    folder = tmp_path_factory.mktemp("문장 쌍")
    sizes = {"train": 96, "dev": 40, "test": 40}
    files = {}
    for seed, (split, rows) in enumerate(sizes.items()):
        files[split] = folder / f"{split} 자료.csv"
        make_pairs(rows, seed).to_csv(files[split], index=False)
    return files


@pytest.fixture
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
    """A grid of four configs on the tiny model, a second each."""
    return [
        f"model.path={tiny_model}",
        "data=files",
        f"data.train={pair_files['train']}",
        f"data.dev={pair_files['dev']}",
        "data.max_length=32",
        "trainer=smoke",
        "trainer.learning_rate=5e-3",
        "trainer.precision=fp32",
        "tracking=disabled",
        "executor=in_process",
        "confirm=none",
        "name=작은_실험",
        "search.space={lora.r:[2,4],lora.target_modules:[qv,all-linear]}",
    ]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a Korean name to start in."""
    folder = tmp_path / "내 폴더"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
