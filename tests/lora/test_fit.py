"""Token ids, lengths and needed tokens held against the model, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers as tf

from command_line import run
from families import CONFIGS
from odd_models import GROUPED, SMALL, bert, decoder, with_json, words_tokenizer, write_pairs
from sweep.core.errors import ModelError
from sweep.lora.anatomy import outline
from sweep.lora.fit import Ids, check_fit, most_positions

SIZE = {**SMALL, "vocab_size": 44, "max_position_embeddings": 40}
BART = {
    "vocab_size": 44,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "max_position_embeddings": 40,
    "eos_token_id": 3,
    "pad_token_id": 0,
}
T5 = {
    "vocab_size": 44,
    "d_model": 16,
    "num_layers": 1,
    "num_heads": 2,
    "d_kv": 8,
    "eos_token_id": 3,
}
POSITIONS: dict[str, tuple[Any, int | None]] = {
    "bert": (tf.BertConfig(**SIZE), 40),
    "roberta": (tf.RobertaConfig(**SIZE | {"pad_token_id": 1}), 38),
    "roberta that pads with 0": (tf.RobertaConfig(**SIZE), 39),
    "camembert": (tf.CamembertConfig(**SIZE | {"pad_token_id": 1}), 38),
    "electra": (tf.ElectraConfig(**SIZE), 40),
    "mpnet": (tf.MPNetConfig(**SIZE | {"pad_token_id": 1}), 38),
    "gpt2": (tf.GPT2Config(vocab_size=44, n_positions=40, n_embd=16, n_layer=1, n_head=2), 40),
    "bart": (tf.BartConfig(**BART), 40),
    "t5": (tf.T5Config(**T5), None),
    "llama": (tf.LlamaConfig(**GROUPED | {"vocab_size": 44, "max_position_embeddings": 40}), None),
    "xlnet": (tf.XLNetConfig(vocab_size=44, d_model=16, n_layer=1, n_head=2, d_inner=16), None),
}


@pytest.mark.parametrize("family", POSITIONS)
def test_positions_are_those_that_a_pair_can_use(family: str) -> None:
    config, most = POSITIONS[family]
    assert most_positions(outline(config)) == most


def refusal(config: Any, ids: Ids, tokenizer: Any = None) -> str:
    with pytest.raises(ModelError) as caught:
        fits(config, ids, tokenizer)
    assert caught.value.way_out
    return str(caught.value)


def fits(config: Any, ids: Ids, tokenizer: Any = None) -> None:
    known = tokenizer or words_tokenizer()
    check_fit(outline(config), known, ids, path="a/model", max_length=128)


@pytest.mark.parametrize("family", POSITIONS)
def test_longer_pairs_are_refused_with_the_length_that_fits(family: str) -> None:
    config, most = POSITIONS[family]
    end = [3] if config.is_encoder_decoder else []
    if most is None:
        fits(config, {"train": [[5] * 500 + end]})
        return
    fits(config, {"train": [[5] * (most - len(end)) + end]})
    message = refusal(config, {"train": [[5, *end]], "dev": [[5, *end], [5] * most + [5, *end]]})
    assert "1 of 2 dev pairs has up to" in message
    assert f"data.max_length={most}" in message


@pytest.mark.parametrize("family", CONFIGS)
def test_ids_beyond_the_embedding_are_refused_with_their_place(family: str) -> None:
    rows = CONFIGS[family].vocab_size
    fits(CONFIGS[family], {"train": [[2, rows - 1, 3]]})
    message = refusal(CONFIGS[family], {"train": [[2, 3]], "test": [[2], [2, rows, 3]]})
    assert f"token {rows} " in message
    assert "test pair 2" in message
    assert f"{rows} rows" in message


def test_padding_beyond_the_embedding_is_refused() -> None:
    tokenizer = words_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[새것]"})
    assert "padding" in refusal(tf.BertConfig(**SIZE), {"train": [[2, 3]]}, tokenizer)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[2, 5, 3, 6, 3], [2, 5, 3, 6, 3]], None),
        ([[2, 5, 6], [2, 5, 6]], "has 0 of token 3"),
        ([[2, 5, 3, 6, 3], [2, 5, 3, 3, 6, 3]], "train pair 2 has 3 of token 3"),
    ],
)
def test_head_that_reads_the_end_needs_as_many_in_every_pair(
    rows: list[list[int]], said: str | None
) -> None:
    if said is None:
        fits(tf.BartConfig(**BART), {"train": rows})
    else:
        assert said in refusal(tf.BartConfig(**BART), {"train": rows})
    fits(tf.BertConfig(**SIZE), {"train": rows})


# -- through the door --------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    files = {
        split: write_pairs(tmp_path / f"{split}.jsonl", 24, seed, longest=30)
        for seed, split in enumerate(("train", "dev", "test"))
    }
    given = [f"data.{split}={path}" for split, path in files.items()]
    plain = ["data=files", "tracking=disabled", "executor=in_process", "trainer=smoke"]
    return [*plain, *given[:2], "trainer.precision=fp32", "search.space={lora.r:[2,4]}"]


def refused(pairs: list[str], model: Path, *more: str, capfd: pytest.CaptureFixture[str]) -> str:
    code, _, err = run(*pairs, f"model.path={model}", *more, capfd=capfd)
    assert code == 2
    assert "Traceback" not in err
    assert "tries them again" not in err
    assert not Path("results").exists()
    return err


@pytest.mark.long
def test_sweep_that_could_only_fail_is_not_begun(
    home: Path, pairs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = bert(tmp_path / "short", max_position_embeddings=40)
    assert "data.max_length=40" in refused(pairs, short, capfd=capfd)
    small = bert(tmp_path / "small", vocab_size=30)
    assert "30 rows" in refused(pairs, small, capfd=capfd)
    blind = decoder(tmp_path / "blind", pad_token=None, eos_token=None)
    assert "to pad with" in refused(pairs, blind, capfd=capfd)


@pytest.mark.long
def test_long_pairs_of_test_alone_are_met_before_training(
    home: Path, pairs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = bert(tmp_path / "short", max_position_embeddings=70)
    test = write_pairs(tmp_path / "long.jsonl", 8, 9, longest=60)
    err = refused(pairs, short, f"data.test={test}", capfd=capfd)
    assert "2 of 8 test pairs have up to 123" in err


@pytest.mark.long
def test_every_length_that_is_searched_is_looked_at(
    home: Path, pairs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = bert(tmp_path / "short", max_position_embeddings=40)
    spaces = "search.space={data.max_length:[24,48]}"
    assert "under data.max_length=48" in refused(pairs, short, spaces, capfd=capfd)


@pytest.mark.long
def test_config_without_a_family_that_can_be_built_is_told(
    home: Path, pairs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = bert(tmp_path / "odd")
    with_json(odd, "config.json", {"num_attention_heads": 5})
    assert "built from its configuration" in refused(pairs, odd, capfd=capfd)


def test_sentence_without_a_token_is_refused() -> None:
    config, _ = POSITIONS["llama"]
    message = refusal(config, {"train": [[5], [6]], "dev": [[7], []]})
    assert "dev pair 2 has none" in message
