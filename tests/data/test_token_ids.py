"""What is left of pairs after tokenising: cut pairs and unknown words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from odd_models import in_python, words_tokenizer, write_pairs
from sweep.core.errors import DataError
from sweep.core.recipe import Data
from sweep.data.pairs import load_split, seen_in, tokenized
from sweep.data.seen import cut_finding, said_of, unknown_finding
from sweep.data.token_ids import Reading, Seen, encoded
from sweep.data.tokens import cached_tokens
from sweep.data.unknown import Unknown

KOREAN = (["고양이가 w1 잔다"], ["w2 w3"])


def seen(tokenizer: Any, texts: tuple[list[str], list[str]], max_length: int = 64) -> Seen:
    return encoded(*texts, tokenizer, max_length=max_length)[1]


# -- cut pairs ---------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Data:
    train = write_pairs(tmp_path / "train.jsonl", 100, 0, words=4, longest=30)
    return Data(source="files", train=str(train))


def test_cut_pairs_are_counted_with_the_length_that_fits(data: Data) -> None:
    pairs, tokenizer = load_split(data, "train"), words_tokenizer()
    short = replace(data, max_length=20)
    found = seen_in(tokenized(pairs, tokenizer, short))
    # Three tokens beside the words: [CLS] and two of [SEP].
    assert (found.rows, found.cut, found.fitting) == (100, 25, 63)
    finding = cut_finding(found, split="train", max_length=20)
    assert finding is not None
    assert (finding.level, finding.count) == ("warn", 25)
    said = "25 of 100 train pairs (25%) are cut to data.max_length=20 tokens; 63 would fit 99%"
    assert finding.sentence.startswith(said)
    limited = cut_finding(found, split="train", max_length=20, most=40)
    assert limited is not None
    assert limited.sentence.endswith("the model takes 40 at most")
    assert seen_in(tokenized(pairs, tokenizer, replace(data, max_length=63))).cut == 0


def test_sentences_read_apart_are_cut_one_by_one_behind_their_prefix(data: Data) -> None:
    pairs, tokenizer = load_split(data, "train"), words_tokenizer()
    reading = Reading(apart=True, prefix="w1 ")
    short = replace(data, max_length=8)
    rows = tokenized(pairs, tokenizer, short, reading)
    expected = [
        tokenizer([f"w1 {text}" for text in side], truncation=True, max_length=8)["input_ids"]
        for side in (pairs.text_a, pairs.text_b)
    ]
    assert list(rows["input_ids"]) == [list(pair) for pair in zip(*expected, strict=True)]
    found = seen_in(rows)
    whole = tokenizer([f"w1 {text}" for text in (*pairs.text_a, *pairs.text_b)])["input_ids"]
    assert (found.rows, found.cut) == (200, sum(len(ids) > 8 for ids in whole))
    finding = cut_finding(found, split="train", max_length=8)
    assert finding is not None
    assert f"{found.cut} of 200 train sentences" in finding.sentence
    assert seen_in(cached_tokens(pairs, tokenizer, short, reading)) == found
    assert seen_in(cached_tokens(pairs, tokenizer, short)).rows == 100


def test_words_unknown_in_sentences_read_apart_are_those_of_the_pairs() -> None:
    tokenizer = words_tokenizer()
    together = seen(tokenizer, KOREAN).unknown
    apart = encoded(*KOREAN, tokenizer, max_length=64, reading=Reading(apart=True))[1].unknown
    assert together == apart
    assert together.count > 0


def test_what_is_cut_is_what_the_tokenizer_cuts(data: Data) -> None:
    pairs, tokenizer = load_split(data, "train"), words_tokenizer()
    rows = tokenized(pairs, tokenizer, replace(data, max_length=20))
    both = list(pairs.text_a), list(pairs.text_b)
    plain = tokenizer(*both, truncation=True, max_length=20)
    assert list(rows["input_ids"]) == plain["input_ids"]
    assert list(rows["attention_mask"]) == plain["attention_mask"]


def test_tokenizer_that_cuts_by_itself_hides_nothing(data: Data) -> None:
    """As those of sentence-transformers, whose file holds a limit."""
    tokenizer = words_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(12)
    assert seen_in(tokenized(load_split(data, "train"), tokenizer, data)).fitting == 63


def test_few_cut_pairs_give_no_cause_for_doubt() -> None:
    few = Seen(1000, 5, 20, Unknown())
    finding = cut_finding(few, split="dev", max_length=20)
    assert finding is not None
    assert finding.level == "info"
    assert finding.is_told
    assert finding.sentence == "5 of 1,000 dev pairs are cut to data.max_length=20 tokens"
    assert cut_finding(replace(few, cut=0), split="dev", max_length=20) is None


def test_cache_knows_what_was_cut(data: Data) -> None:
    pairs, tokenizer = load_split(data, "train"), words_tokenizer()
    short = replace(data, max_length=20)
    fresh, again = (seen_in(cached_tokens(pairs, tokenizer, short)) for _ in range(2))
    assert fresh == again == seen_in(tokenized(pairs, tokenizer, short))


# -- unknown words -----------------------------------------------------------------------------


def wordpiece() -> Any:
    vocabulary = {"[UNK]": 0, "[SEP]": 1, "w": 2, "##1": 3, "##2": 4, "##3": 5, "고": 6}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A [SEP] $B", special_tokens=[("[SEP]", 1)]
    )
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", sep_token="[SEP]", pad_token="[SEP]"
    )


def unigram() -> Any:
    pieces = [("<unk>", 0.0), ("▁w", -1.0), *((digit, -2.0) for digit in "123"), ("▁", -3.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", pad_token="<unk>", eos_token="<unk>"
    )


def bpe_that_leaves_out() -> Any:
    """Without a token for the unknown: nothing is left of such a word."""
    made = Tokenizer(models.BPE({"w": 0, "1": 1, "2": 2, "3": 3, "|": 4}, []))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return tf.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="|", eos_token="|")


@pytest.mark.parametrize("make", [words_tokenizer, wordpiece, unigram, bpe_that_leaves_out])
def test_unknown_words_are_counted_whatever_becomes_of_them(make: Callable[[], Any]) -> None:
    found = seen(make(), KOREAN).unknown
    assert (found.words, found.count) == (5, 2)
    assert list(found.examples) == ["고양이가", "잔다"]
    assert found.share == pytest.approx(0.4)
    known = seen(make(), (["w1 w2"], ["w3"])).unknown
    assert (known.count, known.share) == (0, 0.0)


def test_tokenizer_in_python_counts_tokens() -> None:
    found = seen(in_python(), KOREAN).unknown
    assert (found.words, found.count) == (5, 2)


def test_who_reads_bytes_knows_every_word() -> None:
    letters = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    end = {"<|endoftext|>": len(letters)}
    for kind in (tf.GPT2Tokenizer, tf.Qwen2Tokenizer):
        assert seen(kind(vocab={**letters, **end}, merges=[]), KOREAN).unknown.share == 0


def test_text_of_special_tokens_is_no_unknown_word() -> None:
    assert seen(words_tokenizer(), (["w1 [SEP] w2"], ["[CLS] w3"])).unknown.count == 0


def of_share(share: float) -> Seen:
    return Seen(10, 0, 8, Unknown(100, round(100 * share), ("고양이",)))


def test_unknown_words_are_said_from_a_twentieth_and_refused_above_a_half() -> None:
    settings = {"split": "dev", "model": "some/model"}
    assert unknown_finding(of_share(0.04), **settings, on_unknown="error") is None
    for share in (0.05, 0.5):
        finding = unknown_finding(of_share(share), **settings, on_unknown="error")
        assert finding is not None
        assert finding.level == "warn"
        assert f"{share:.0%} of the words of the dev pairs (고양이, ...)" in finding.sentence
    with pytest.raises(DataError, match="51% of the words") as caught:
        unknown_finding(of_share(0.51), **settings, on_unknown="error")
    assert "some/model" in str(caught.value)
    assert "data.on_unknown=warn" in str(caught.value)
    assert unknown_finding(of_share(1.0), **settings, on_unknown="warn") is not None


def test_who_predicts_hears_the_same() -> None:
    found = Seen(48, 12, 80, Unknown(10, 4, ("고양이",)))
    cut, unknown = said_of(found, "given", max_length=40)
    assert cut.startswith("12 of 48 given pairs (25%) are cut to data.max_length=40")
    assert unknown.startswith("40% of the words of the given pairs")
    assert said_of(Seen(48, 0, 8, Unknown()), "given", max_length=40) == []
