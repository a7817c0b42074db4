"""Tiny models and tokenizers with something odd about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = tuple(f"w{i}" for i in range(40))
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "pad_token_id": 0,
    # Larger than is usual: predictions of a random model would hardly differ.
    "initializer_range": 0.2,
}
GROUPED = {**SMALL, "num_key_value_heads": 1, "head_dim": 16}


def words_tokenizer(
    folder: Path | None = None,
    *,
    specials: Sequence[str] = SPECIALS,
    pair: str | None = "[CLS] $A [SEP] $B [SEP]",
    **more: Any,
) -> tf.PreTrainedTokenizerFast:
    """A token a word, of `WORDS` and `specials`; without a `pair` nothing is put in between."""
    vocabulary = {word: i for i, word in enumerate([*specials, *WORDS])}
    unknown = {"unk_token": "[UNK]"} if "[UNK]" in specials else {}
    made = Tokenizer(models.WordLevel(vocabulary, **unknown))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if pair:
        known = [(token, vocabulary[token]) for token in specials]
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair=pair, special_tokens=known
        )
    named = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"} if pair else {}
    tokenizer = tf.PreTrainedTokenizerFast(tokenizer_object=made, **{**unknown, **named, **more})
    if folder is not None:
        tokenizer.save_pretrained(folder)
    return tokenizer


def in_python() -> Any:
    """A tokenizer that is no part of the `tokenizers` library."""

    class Letters(tf.PythonBackend):
        """A token a word, known only in part."""

        def __init__(self, **kwargs: Any) -> None:
            self._ids = {"[UNK]": 0, "[SEP]": 1, "w1": 2, "w2": 3, "w3": 4}
            super().__init__(unk_token="[UNK]", sep_token="[SEP]", pad_token="[SEP]", **kwargs)

        @property
        def vocab_size(self) -> int:
            return len(self._ids)

        def get_vocab(self) -> dict[str, int]:
            return dict(self._ids)

        def _tokenize(self, text: str, **_: Any) -> list[str]:
            return text.split()

        def _convert_token_to_id(self, token: str) -> int:
            return self._ids.get(token, 0)

        def build_inputs_with_special_tokens(self, a: list[int], b: Any = None) -> list[int]:
            return [*a, 1, *b] if b is not None else [*a, 1]

    return Letters()


def bert(folder: Path, *, seed: int = 0, **settings: Any) -> Path:
    """A random BERT that reads `WORDS`, with its tokenizer."""
    words_tokenizer(folder)
    size = {"vocab_size": len(WORDS) + len(SPECIALS), **SMALL, **settings}
    torch.manual_seed(seed)
    tf.BertForSequenceClassification(tf.BertConfig(num_labels=1, **size)).save_pretrained(folder)
    return folder


def decoder(folder: Path, **of_the_tokenizer: Any) -> Path:
    """A random Qwen3, whose tokenizer puts nothing between two sentences."""
    specials = ("<|endoftext|>", "<|im_end|>", "[UNK]")
    named = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "padding_side": "left"}
    words_tokenizer(folder, specials=specials, pair=None, **{**named, **of_the_tokenizer})
    torch.manual_seed(0)
    config = tf.Qwen3Config(vocab_size=len(WORDS) + 3, max_position_embeddings=64, **GROUPED)
    tf.Qwen3Model(config).save_pretrained(folder)
    return folder


def with_json(folder: Path, name: str, changes: Mapping[str, Any]) -> None:
    """Change a JSON file of a model's folder."""
    path = folder / name
    content = json.loads(path.read_text(encoding="utf-8")) | dict(changes)
    path.write_text(json.dumps(content), encoding="utf-8")


def copied(model: Path, to: Path) -> Path:
    shutil.copytree(model, to)
    return to


def write_pairs(path: Path, rows: int, seed: int, *, words: int = 6, longest: int = 0) -> Path:
    """Pairs of `WORDS` with the share of equal words as score; some of `longest` words."""
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> list[str]:
        return [WORDS[int(i)] for i in torch.randint(len(WORDS), (count,), generator=generator)]

    lines = []
    for row in range(rows):
        first = draw(longest if longest and row % 4 == 0 else words)
        same = int(torch.randint(words + 1, (1,), generator=generator))
        second = [*first[:same], *draw(len(first) - same)]
        score = round(5 * same / words, 2)
        texts = {"sentence1": " ".join(first), "sentence2": " ".join(second), "score": score}
        lines.append(json.dumps(texts))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
