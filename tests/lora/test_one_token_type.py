"""A RoBERTa with the tokenizer of a BERT (klue/roberta-small) has one kind of token."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, RobertaConfig, RobertaModel

from sweep.core.recipe import Model, Recipe
from sweep.loop.trial import Event, Finished, Run, RunState
from sweep.lora.model import load_tokenizer
from sweep.train.runs import train_pack


@pytest.fixture
def one_type(tiny_model: Path, tmp_path: Path) -> Model:
    folder = tmp_path / "roberta"
    shutil.copytree(tiny_model, folder)
    words = len((folder / "tokenizer.json").read_text(encoding="utf-8").split('": ')) + 64
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=words,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=0,
    )
    RobertaModel(config).save_pretrained(folder)
    return Model(path=str(folder))


@pytest.mark.trains
def test_second_sentence_has_no_type_of_its_own(
    one_type: Model, recipe: Recipe, tmp_path: Path
) -> None:
    run = Run(0, {}, replace(recipe, model=one_type))
    (tmp_path / run.id).mkdir()
    events: list[Event] = []
    train_pack((run,), tmp_path, events.append)
    (outcome,) = (e.outcome for e in events if isinstance(e, Finished))
    assert outcome.state is RunState.COMPLETE


def test_exported_tokenizer_gives_what_the_model_takes(one_type: Model, tmp_path: Path) -> None:
    load_tokenizer(one_type).save_pretrained(tmp_path / "exported")
    again = AutoTokenizer.from_pretrained(tmp_path / "exported")
    assert set(again("고양이", "강아지")) == {"input_ids", "attention_mask"}
