"""The tokenizer of a model: padding, a separator, segment ids that lead nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from transformers import AutoTokenizer

from odd_models import GROUPED, SMALL, SPECIALS, WORDS, bert, decoder, with_json, words_tokenizer
from sweep.core.errors import ModelError
from sweep.core.recipe import Model
from sweep.lora.anatomy import outline
from sweep.lora.model import load_base, load_pairing, load_tokenizer
from sweep.lora.pairing import paired, without_first_token

VOCAB = len(WORDS) + len(SPECIALS)
NUMBERED = ["input_ids", "token_type_ids", "attention_mask"]
CONFIGS: dict[str, Any] = {
    "bert": tf.BertConfig(vocab_size=VOCAB, **SMALL),
    "roberta": tf.RobertaConfig(vocab_size=VOCAB, type_vocab_size=1, **SMALL),
    "distilbert": tf.DistilBertConfig(vocab_size=VOCAB, dim=32, n_layers=1, n_heads=2),
    "deberta-v2": tf.DebertaV2Config(vocab_size=VOCAB, type_vocab_size=0, **SMALL),
    "llama": tf.LlamaConfig(vocab_size=VOCAB, **GROUPED),
}


def said(family: str, names: list[str]) -> list[str]:
    tokenizer = words_tokenizer(model_input_names=names)
    found = paired(tokenizer, CONFIGS[family], path="a/model").findings()
    return [finding.sentence for finding in found]


@pytest.mark.parametrize(
    ("family", "names", "reason"),
    [
        ("bert", NUMBERED, None),
        ("bert", ["input_ids", "attention_mask"], "the tokenizer gives none"),
        ("roberta", NUMBERED, "the model knows 1 kind of token"),
        ("roberta", ["input_ids", "attention_mask"], None),
        ("distilbert", NUMBERED, "the model takes none"),
        ("distilbert", ["input_ids", "attention_mask"], None),
        ("deberta-v2", NUMBERED, "the model knows no kinds of token"),
        ("llama", NUMBERED, "the model takes none"),
    ],
)
def test_segment_ids_that_are_left_out_are_said_in_a_line(
    family: str, names: list[str], reason: str | None
) -> None:
    if reason is None:
        assert said(family, names) == []
        return
    (sentence,) = said(family, names)
    assert sentence.startswith("segment ids are left out")
    assert reason in sentence


@pytest.mark.parametrize("family", ["roberta", "distilbert", "llama"])
def test_left_out_segment_ids_stay_out_of_the_saved_tokenizer(family: str, tmp_path: Path) -> None:
    tokenizer = words_tokenizer(model_input_names=NUMBERED)
    pairing = paired(tokenizer, CONFIGS[family], path="a/model")
    pairing.tokenizer.save_pretrained(tmp_path)
    for one in (pairing.tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert set(one("w1", "w2")) == {"input_ids", "attention_mask"}


def test_separator_of_a_decoder_is_said(tmp_path: Path) -> None:
    pairing = load_pairing(Model(path=str(decoder(tmp_path))))
    (finding,) = pairing.findings(of=" (a/model)")
    assert finding.kind == "separator"
    assert "'<|im_end|>' is put there, and saved with it (a/model)" in finding.sentence
    assert load_tokenizer(Model(path=str(tmp_path)))("w1", "w2")["input_ids"] == [4, 1, 5]


def test_where_nothing_can_separate_that_is_said() -> None:
    tokenizer = words_tokenizer(specials=("[UNK]",), pair=None, pad_token="[UNK]")
    pairing = paired(tokenizer, CONFIGS["llama"], path="a/model")
    assert pairing.separator is None
    (finding,) = pairing.findings()
    assert finding.level == "warn"
    assert "nothing stands between the two sentences" in finding.sentence


def test_encoder_with_a_separator_of_its_own_is_not_worth_a_word(tmp_path: Path) -> None:
    bert(tmp_path)
    assert "separator" not in {f.kind for f in load_pairing(Model(path=str(tmp_path))).findings()}


def test_encoder_without_a_token_that_stands_for_the_whole_is_said() -> None:
    bare, usual = words_tokenizer(pair=None, sep_token="[SEP]"), words_tokenizer()
    found = without_first_token(bare, outline(CONFIGS["bert"]))
    assert [finding.level for finding in found] == ["warn"]
    assert found[0].is_told
    assert without_first_token(usual, outline(CONFIGS["bert"])) == []
    assert without_first_token(bare, outline(CONFIGS["llama"])) == []


def test_tokenizer_that_can_not_pad_is_refused(tmp_path: Path) -> None:
    decoder(tmp_path, pad_token=None, eos_token=None)
    with pytest.raises(ModelError, match="a token to pad with"):
        load_tokenizer(Model(path=str(tmp_path)))


@pytest.mark.parametrize("configured", [None, 7])
def test_decoder_knows_the_padding_of_its_tokenizer(configured: int | None, tmp_path: Path) -> None:
    """Its head reads the last token that is no padding: another number would be read as text."""
    model = Model(path=str(decoder(tmp_path, padding_side="right")))
    with_json(tmp_path, "config.json", {"pad_token_id": configured})
    tokenizer = load_tokenizer(model)
    net, _ = load_base(model, tokenizer)
    net.eval()
    texts = [("w1 w2 w3", "w4 w5"), ("w6", "w7")]
    with torch.no_grad():
        together = net(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        alone = [net(**tokenizer([pair], return_tensors="pt")).logits for pair in texts]
    torch.testing.assert_close(together, torch.cat(alone))


def test_roberta_counts_positions_from_its_own_padding(tmp_path: Path) -> None:
    words_tokenizer(tmp_path)
    config = tf.RobertaConfig(
        vocab_size=VOCAB, max_position_embeddings=40, **SMALL | {"pad_token_id": 1}
    )
    tf.RobertaModel(config).save_pretrained(tmp_path)
    model = Model(path=str(tmp_path))
    net, _ = load_base(model, load_tokenizer(model))
    assert net.config.pad_token_id == 1


def test_tokenizer_whose_class_makes_nothing_of_its_words_is_refused(tmp_path: Path) -> None:
    """transformers takes Qwen2's own class for this family, whose rules are for bytes."""
    words_tokenizer(tmp_path, pair=None)
    tf.Qwen2Config(vocab_size=VOCAB, **GROUPED).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="Qwen2Tokenizer makes no token of any word"):
        load_tokenizer(Model(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (CONFIGS["bert"], "the head reads the first token"),
        (tf.ModernBertConfig(vocab_size=VOCAB, **SMALL), "the head reads the first token"),
        (tf.GPT2Config(vocab_size=VOCAB, n_layer=1), "the model counts positions from the left"),
        (CONFIGS["llama"], None),
        (tf.XLNetConfig(vocab_size=VOCAB, d_model=32, n_head=2, n_layer=1), None),
    ],
)
def test_padding_on_the_left_is_moved_where_a_score_would_depend_on_it(
    config: Any, reason: str | None, tmp_path: Path
) -> None:
    pairing = paired(words_tokenizer(padding_side="left"), config, path="a/model")
    pairing.tokenizer.save_pretrained(tmp_path)
    expected = "left" if reason is None else "right"
    assert AutoTokenizer.from_pretrained(tmp_path).padding_side == expected
    said = [finding.sentence for finding in pairing.findings() if finding.kind == "padding"]
    assert said == [f"padding is put on the right, and saved so: {reason}"] * (reason is not None)
