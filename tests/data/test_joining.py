"""What stands around two sentences that are read as one sequence: a separator, a template."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers as tf
from tokenizers import pre_tokenizers

from odd_models import in_python, words_tokenizer
from sweep.core.errors import ConfigError, DataError, ModelError
from sweep.core.ranges import check_ranges
from sweep.core.recipe import Data, Model, Recipe
from sweep.core.task import Task
from sweep.data.joining import is_joined, separated, templated
from sweep.data.token_ids import encoded

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "<mask>"]
SIGNS = [*"abw0123:=", "\u0120", "\u010a", "\u2581", "##a", "##b", "\n", "<|endoftext|>"]
VOCABULARY = {sign: number for number, sign in enumerate([*SPECIALS, *SIGNS])}
SCORED = [(sign, -1.0) for sign in VOCABULARY]
#: Classes as models name them; many put their tokens around sentences anew when they are loaded.
CLASSES: dict[str, Callable[[], Any]] = {
    "bert": lambda: tf.BertTokenizer(vocab=VOCABULARY),
    "roberta": lambda: tf.RobertaTokenizer(vocab=VOCABULARY, merges=[]),
    "mpnet": lambda: tf.MPNetTokenizer(vocab=VOCABULARY),
    "xlm-roberta": lambda: tf.XLMRobertaTokenizer(vocab=SCORED),
    "deberta-v2": lambda: tf.DebertaV2Tokenizer(vocab=SCORED),
    "albert": lambda: tf.AlbertTokenizer(vocab=SCORED),
    "gpt2": lambda: tf.GPT2Tokenizer(vocab=VOCABULARY, merges=[]),
    "gpt_neox": lambda: tf.GPTNeoXTokenizer(vocab=VOCABULARY, merges=[]),
    "qwen2": lambda: tf.Qwen2Tokenizer(vocab=VOCABULARY, merges=[]),
    "llama": lambda: tf.LlamaTokenizer(vocab=VOCABULARY, merges=[]),
    "gemma": lambda: tf.GemmaTokenizer(vocab=VOCABULARY, merges=[]),
}


# -- a separator -------------------------------------------------------------------------------


def byte_level(kind: Any, **named: Any) -> Any:
    letters = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    return kind(vocab={**letters, "<|endoftext|>": len(letters)}, merges=[], **named)


def plain_words() -> Any:
    specials = ("<|endoftext|>", "<|im_end|>", "[UNK]")
    return words_tokenizer(specials=specials, pair=None, eos_token="<|im_end|>")


JOINING = {
    "words": (plain_words, "<|im_end|>"),
    "gpt2": (lambda: byte_level(tf.GPT2Tokenizer), "\n"),
    "qwen2": (lambda: byte_level(tf.Qwen2Tokenizer), "\n"),
    # As Qwen's own file says it: whoever loads that makes the template anew.
    "qwen2, said": (lambda: byte_level(tf.Qwen2Tokenizer, add_bos_token=False), "\n"),
    # This class puts its own tokens around anew when it is loaded.
    "gpt_neox": (lambda: byte_level(tf.GPTNeoXTokenizer), "\n"),
    "with end": (lambda: words_tokenizer(pair="[CLS] $A $B [SEP]"), "[SEP]"),
}


@pytest.mark.parametrize("case", JOINING)
def test_tokenizer_that_joins_gets_a_separator_that_is_saved_with_it(
    case: str, tmp_path: Path
) -> None:
    make, expected = JOINING[case]
    tokenizer = make()
    before = tokenizer("w1", "w2")["input_ids"]
    assert is_joined(tokenizer)
    tokenizer, separator = separated(tokenizer)
    assert separator == expected
    pair = tokenizer("w1", "w2")["input_ids"]
    assert len(pair) == len(before) + 1
    assert not is_joined(tokenizer)
    assert separated(tokenizer) == (tokenizer, None)
    tokenizer.save_pretrained(tmp_path)
    again = tf.AutoTokenizer.from_pretrained(tmp_path)
    assert again("w1", "w2")["input_ids"] == pair
    assert again("w1")["input_ids"] == make()("w1")["input_ids"]


@pytest.mark.parametrize("case", JOINING)
def test_separator_is_never_cut(case: str) -> None:
    tokenizer, _ = separated(JOINING[case][0]())
    whole = set(tokenizer("w1", "w2")["input_ids"]) - set(tokenizer("w1w2")["input_ids"])
    long = (["w1 " * 20, "w1", "w1 " * 20], ["w2", "w2 " * 20, "w2 " * 20])
    columns, found = encoded(*long, tokenizer, max_length=9)
    assert found.cut == 3
    assert all(len(row) == 9 and whole <= set(row) for row in columns["input_ids"])


@pytest.mark.parametrize(
    "make", [words_tokenizer, lambda: words_tokenizer(pair="$A [SEP] $B"), in_python]
)
def test_tokenizer_with_a_separator_keeps_its_own(make: Callable[[], Any]) -> None:
    tokenizer = make()
    before = tokenizer("w1", "w2")["input_ids"]
    assert separated(tokenizer) == (tokenizer, None)
    assert tokenizer("w1", "w2")["input_ids"] == before


# -- a template --------------------------------------------------------------------------------


def ids_of(tokenizer: Any, *texts: str) -> list[int]:
    found: list[int] = tokenizer(*texts, add_special_tokens=False)["input_ids"]
    return found


@pytest.mark.parametrize("family", CLASSES)
def test_template_takes_the_place_of_what_is_between_and_is_saved(
    family: str, tmp_path: Path
) -> None:
    plain = CLASSES[family]()
    alone = plain("a").encodings[0]
    inside = [place for place, side in enumerate(alone.sequence_ids) if side is not None]
    front, back = alone.ids[: inside[0]], alone.ids[inside[-1] + 1 :]
    parts = [ids_of(plain, text) for text in ("a:", "a", "=", "b", "b")]
    tokenizer = templated(plain, "a:{a}={b}b", path="a/model")
    tokenizer.save_pretrained(tmp_path)
    tf.AutoConfig.for_model(family).save_pretrained(tmp_path)
    for one in (tokenizer, tf.AutoTokenizer.from_pretrained(tmp_path)):
        assert one("a", "b")["input_ids"] == [*front, *(i for part in parts for i in part), *back]
        assert one("a")["input_ids"] == alone.ids
        assert one.special_tokens_map == plain.special_tokens_map
        assert one.model_input_names == plain.model_input_names


def test_segments_go_on_behind_the_first_sentence() -> None:
    pair = templated(CLASSES["bert"](), "a:{a}={b}b", path="a/model")("a", "b")
    assert pair["token_type_ids"] == [0, 0, 0, 0, 0, 1, 1, 1]


def test_template_is_never_cut() -> None:
    tokenizer = templated(CLASSES["gpt2"](), "a:{a}\\n{b}=", path="a/model")
    texts = (["w" * 20, "w", "w" * 20], ["b", "b" * 20, "b" * 20])
    columns, found = encoded(*texts, tokenizer, max_length=9)
    kept = {VOCABULARY[sign] for sign in ("a", ":", "\u010a", "=")}
    assert found.cut == 3
    assert all(len(row) == 9 and kept <= set(row) for row in columns["input_ids"])


def test_template_that_leaves_no_room_for_words_is_refused() -> None:
    tokenizer = templated(CLASSES["gpt2"](), "aaaaaaa{a}b{b}", path="a/model")
    with pytest.raises(DataError, match=r"data\.max_length=9; the tokenizer puts 8 tokens around"):
        encoded(["a"], ["b"], tokenizer, max_length=9)


@pytest.mark.parametrize(
    ("family", "template", "said"),
    [
        ("bert", "{a}\\n{b}", "makes nothing of '\\\\n'"),
        ("bert", "{a} zzz {b}", "makes an unknown token of ' zzz '"),
    ],
)
def test_template_that_the_tokenizer_has_no_token_for_is_refused(
    family: str, template: str, said: str
) -> None:
    with pytest.raises(ModelError, match=said) as error:
        templated(CLASSES[family](), template, path="a/model")
    assert "{a}[SEP]{b}" in error.value.way_out


def test_tokenizer_in_python_can_not_be_told_a_template() -> None:
    with pytest.raises(ModelError, match="a Letters, which is no part of the `tokenizers` library"):
        templated(in_python(), "{a}[SEP]{b}", path="a/model")


def refusal(**data: Any) -> str:
    task = Task(encoder=data.pop("encoder", "cross"))
    with pytest.raises(ConfigError) as error:
        check_ranges(Recipe(model=Model(path="a/model"), data=Data(**data), task=task))
    return str(error.value)


@pytest.mark.parametrize(
    "template", ["", "{a}", "{b}", "a and b", "{b} {a}", "{a}{b}", "{a} {a} {b}", "{a} {b} {label}"]
)
def test_what_is_no_template_is_refused(template: str) -> None:
    assert "`data.template` must have `{a}` and then `{b}`" in refusal(template=template)


def test_template_of_a_bi_encoder_is_refused() -> None:
    message = refusal(template="{a}\\n{b}", encoder="bi")
    assert "needs `task.encoder=cross`" in message
    assert "data.template=null" in message
