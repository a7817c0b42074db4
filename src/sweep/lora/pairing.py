"""How a model's tokenizer makes one sequence of two sentences, and what is changed about it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import transformers
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from sweep.core.errors import ModelError
from sweep.data.findings import Finding
from sweep.data.joining import is_bare, is_joined, makes_nothing, separated, templated
from sweep.data.reading import unescaped
from sweep.lora.anatomy import outline
from sweep.lora.fit import most_positions, reads_the_last_token

_SEGMENTS = "token_type_ids"
#: Families without a `score` whose head reads the end of a sequence.
_READ_THE_END = ("xlnet",)


@dataclass(frozen=True)
class Pairing:
    """A tokenizer that fits its model.

    `separator` was put between the sentences, where the tokenizer has nothing there, and `template`
    around them, where `data.template` asks for it; `is_joined`
    says that nothing could be. `no_segments` says why the sentences' numbers are left out, where
    either side has them, and `padded_right` why padding was moved there.
    """

    tokenizer: PreTrainedTokenizerBase
    separator: str | None
    is_joined: bool
    no_segments: str | None
    padded_right: str | None = None
    template: str | None = None

    def findings(self, *, of: str = "") -> list[Finding]:
        """What is to be known of it.

        Args:
            of: Names the model, where there are several.
        """
        found = []
        if self.separator is not None:
            sentence = (
                f"the tokenizer puts nothing between two sentences: {self.separator!r} is put"
            )
            found.append(_finding("separator", "info", f"{sentence} there, and saved with it{of}"))
        if self.template is not None:
            sentence = f"a pair is read as {self.template!r}, which is saved with the tokenizer"
            found.append(_finding("separator", "info", f"{sentence}{of}"))
        if self.is_joined:
            sentence = "nothing stands between the two sentences: the tokenizer has no token for it"
            found.append(_finding("separator", "warn", f"{sentence}{of}"))
        if self.no_segments is not None:
            sentence = f"segment ids are left out: {self.no_segments}"
            found.append(_finding("segments", "info", f"{sentence}{of}"))
        if self.padded_right is not None:
            sentence = f"padding is put on the right, and saved so: {self.padded_right}"
            found.append(_finding("padding", "info", f"{sentence}{of}"))
        return found


def without_first_token(
    tokenizer: PreTrainedTokenizerBase, net: PreTrainedModel, *, of: str = ""
) -> list[Finding]:
    """The heads of encoders read a token that stands for the whole; some tokenizers put none.

    Args:
        of: Names the model, where there are several.
    """
    if reads_the_last_token(net) or net.config.is_encoder_decoder or not is_bare(tokenizer):
        return []
    sentence = "the tokenizer puts no token around the sentences: the head reads a word of them"
    return [_finding("first_token", "warn", f"{sentence}{of}")]


def paired(
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    *,
    path: str,
    template: str | None = None,
) -> Pairing:
    """Fit a tokenizer, which is changed, to its model.

    A tokenizer without padding token (GPT-2) pads with its end token. A BERT tokenizer numbers the
    sentences of a pair 0 and 1; a RoBERTa that was trained with one (klue/roberta-small) has a
    single such embedding, so that the 1 would lead nowhere.

    Raises:
        ModelError: it has no words, neither a token to pad with nor one for the end of a text, or
            none for the template.
    """
    refuse_without_words(tokenizer, path=path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ModelError(
            "A tokenizer must have a token to pad with: pairs of a batch differ in length.",
            value=f"that of {path} names neither `pad_token` nor `eos_token`",
            way_out="name one in its `tokenizer_config.json`, one that the vocabulary has",
        )
    numbered = _SEGMENTS in tokenizer.model_input_names
    reason = _why_no_segments(config, numbered=numbered)
    if numbered and reason is not None:
        _give_no_segments(tokenizer, [n for n in tokenizer.model_input_names if n != _SEGMENTS])
    padded = _pad_on_the_right(tokenizer, config)
    if template is not None:
        own = templated(tokenizer, template, path=path)
        return Pairing(own, None, False, reason, padded, unescaped(template))
    own, separator = separated(tokenizer)
    return Pairing(own, separator, separator is None and is_joined(own), reason, padded)


def _pad_on_the_right(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> str | None:
    """Why a tokenizer that pads on the left is to pad on the right, as it then does; else None.

    Where the first sign is read, or counted as the first position, padding in front of it would
    make a score depend on the pairs of its batch.
    """
    if tokenizer.padding_side == "right":
        return None
    net = outline(config)
    reads_the_first = not reads_the_last_token(net) and config.model_type not in _READ_THE_END
    if reads_the_first:
        reason = "the head reads the first token"
    elif most_positions(net) is not None:
        reason = "the model counts positions from the left"
    else:
        return None
    tokenizer.padding_side = "right"
    tokenizer.init_kwargs["padding_side"] = "right"
    return reason


def refuse_without_words(tokenizer: PreTrainedTokenizerBase, *, path: str) -> None:
    """Without its files a tokenizer of some families is an empty one: every word is unknown to it.

    Raises:
        ModelError: its vocabulary holds special tokens alone, or it makes no token of any word.
    """
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        found = f"its vocabulary holds no words, {len(tokenizer)} special tokens alone"
    elif makes_nothing(tokenizer):
        found = f"{type(tokenizer).__name__} makes no token of any word of its vocabulary"
    else:
        return
    raise ModelError(
        f"The tokenizer of {path} must be there, and whole.",
        value=found,
        way_out="copy or save the model again, with `tokenizer.json` or its vocabulary",
    )


def _give_no_segments(tokenizer: PreTrainedTokenizerBase, names: Sequence[str]) -> None:
    tokenizer.model_input_names = list(names)
    # Saved along, for those who load the exported one.
    tokenizer.init_kwargs["model_input_names"] = list(names)


def _why_no_segments(config: PretrainedConfig, *, numbered: bool) -> str | None:
    """Why a model gets no segment ids; None where it does, or where nobody expects any."""
    kinds = getattr(config, "type_vocab_size", None)
    takes = _takes_segments(config)
    if not numbered:
        has = takes and (kinds or 0) > 1
        return f"the tokenizer gives none, though the model knows {kinds} kinds" if has else None
    if not takes:
        return "the model takes none"
    if kinds is not None and kinds < 2:
        return f"the model knows {kinds or 'no'} kind{'s' * (not kinds)} of token"
    return None


def _takes_segments(config: PretrainedConfig) -> bool:
    families: Any = transformers.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    if type(config) not in families:
        return True
    return _SEGMENTS in inspect.signature(families[type(config)].forward).parameters


def _finding(kind: str, level: Any, sentence: str) -> Finding:
    return Finding(kind, level, ("train", "dev"), sentence, 0)
