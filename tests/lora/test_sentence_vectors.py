"""Vectors of sentences: pooled as the model's folder says, equal to sentence-transformers'."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from sweep.config.compose import load_settings
from sweep.core.recipe import Model
from sweep.lora.model import load_base, load_tokenizer, locate
from sweep.lora.sentence_vectors import (
    cosines,
    is_sentence_encoder,
    last_tokens,
    pooling_of,
    sentence_vectors,
)

TEXTS = ["A man is eating.", "Somebody eats a large meal in the park.", "고양이가 먹는다", "No."]


@pytest.mark.long
def test_vectors_of_the_default_model_are_those_of_its_own_library() -> None:
    model = load_settings([])[0].model
    tokenizer = load_tokenizer(model)
    pooling = pooling_of(model)
    assert (pooling.mode, pooling.is_own, pooling.prefix) == ("mean", True, "")
    net: Any = load_base(model, tokenizer)[0].base_model
    found = sentence_vectors(net, tokenizer, TEXTS, pooling, max_length=128)
    expected = SentenceTransformer(locate(model.path), device="cpu").encode(TEXTS)
    assert cosines(found, expected) == pytest.approx(np.ones(4), abs=1e-6)
    assert cosines(found[[0]], found[[1]]) == pytest.approx(
        cosines(expected[[0]], expected[[1]]), abs=1e-5
    )


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": ["cls", "mean"]}, "mean"),
        (None, "mean"),
        ("not JSON", "mean"),
    ],
)
def test_pooling_is_the_folders_own(
    tiny_model: Path, tmp_path: Path, written: Any, mode: str
) -> None:
    folder = tmp_path / "모델"
    shutil.copytree(tiny_model, folder)
    if written is not None:
        (folder / "1_Pooling").mkdir()
        text = written if isinstance(written, str) else json.dumps(written)
        (folder / "1_Pooling" / "config.json").write_text(text, encoding="utf-8")
    assert pooling_of(Model(path=str(folder))).mode == mode


@pytest.mark.parametrize(
    ("name", "prompts", "prefix"),
    [
        ("intfloat/multilingual-e5-small", None, "query: "),
        ("내 모델/e5", None, "query: "),
        ("me/kobert", None, ""),
        ("me/base5", None, ""),
        ("me/any", {"prompts": {"q": "문장: "}, "default_prompt_name": "q"}, "문장: "),
        ("me/any", {"prompts": {"q": "문장: "}, "default_prompt_name": None}, ""),
    ],
)
def test_prefix_is_the_folders_own_or_that_of_its_family(
    tiny_model: Path, tmp_path: Path, name: str, prompts: Any, prefix: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    if prompts:
        path = folder / "config_sentence_transformers.json"
        path.write_text(json.dumps(prompts), encoding="utf-8")
    assert pooling_of(Model(path=str(folder), hub_name=name)).prefix == prefix


def test_layers_behind_the_pooling_are_told_to_be_left_out(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    model = Model(path=str(folder))
    assert not is_sentence_encoder(model)
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    modules = [{"idx": n, "type": f"sentence_transformers.models.{k}"} for n, k in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    assert pooling_of(model).words == "mean of the tokens, without its Dense layer"
    assert is_sentence_encoder(model)


def test_last_token_is_found_on_either_side_of_the_padding() -> None:
    states = torch.arange(12.0).reshape(2, 3, 2)
    right = torch.tensor([[1, 1, 0], [1, 1, 1]], dtype=torch.bool)
    left = torch.tensor([[0, 1, 1], [1, 1, 1]], dtype=torch.bool)
    assert last_tokens(states, right).tolist() == [[2, 3], [10, 11]]
    assert last_tokens(states, left).tolist() == [[4, 5], [10, 11]]
