"""What stands around and between two sentences that are read as one sequence.

The tokenizer of an encoder puts a token between the sentences; that of most decoders puts nothing
there, so that the end of one sentence runs into the other. `separated` gives such a tokenizer a
separator, `templated` gives any tokenizer the text of `data.template`. Both become part of the
tokenizer: they are saved with it, and cut around as its other tokens are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from sweep.core.errors import ModelError
from sweep.core.template import parts_of
from sweep.data.reading import unescaped


def separated(
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[PreTrainedTokenizerBase, str | None]:
    """A tokenizer with a separator, where it puts nothing between two sentences.

    It is the first of these that the tokenizer has a token for: its own separator, a line break,
    its end of text.

    Returns:
        The tokenizer and the separator, None where it has one of its own or can't get any.
    """
    if not _has_backend(tokenizer) or not is_joined(tokenizer):
        return tokenizer, None
    if (found := next(_separators(tokenizer), None)) is None:
        return tokenizer, None
    text, ids = found
    return _with_text(tokenizer, ([], ids, [])), text


def templated(
    tokenizer: PreTrainedTokenizerBase, template: str, *, path: str
) -> PreTrainedTokenizerBase:
    """A tokenizer that reads two sentences as `data.template` has them.

    What it puts before the first and behind the last stays; the template takes the place of what
    it puts between them. Each part of the template is tokenised by itself.

    Args:
        path: Names the model.

    Raises:
        ModelError: it has no token for a part of the template, or is one that can't be told.
    """
    rule = "`data.template` needs a tokenizer that knows its text."
    if not _has_backend(tokenizer):
        kind = type(tokenizer).__name__
        raise ModelError(
            rule,
            value=f"that of {path} is a {kind}, which is no part of the `tokenizers` library",
            way_out="leave `data.template` out",
        )
    ids = []
    for part in map(unescaped, parts_of(template)):
        tokens = tokenizer(part, add_special_tokens=False)["input_ids"] if part else []
        if part and (not tokens or tokenizer.unk_token_id in tokens):
            raise ModelError(
                rule,
                value=f"that of {path} makes {'nothing' if not tokens else 'an unknown token'} "
                f"of {part!r}",
                way_out=f"take other words or signs{_own_separator(tokenizer)}",
            )
        ids.append(tokens)
    return _with_text(tokenizer, ids)


def _own_separator(tokenizer: PreTrainedTokenizerBase) -> str:
    return f", as `{{a}}{tokenizer.sep_token}{{b}}`" if tokenizer.sep_token else ""


def _has_backend(tokenizer: PreTrainedTokenizerBase) -> bool:
    return getattr(tokenizer, "backend_tokenizer", None) is not None


def _with_text(tokenizer: Any, text: Sequence[list[int]]) -> PreTrainedTokenizerBase:
    """A tokenizer with these tokens before, between and behind the sentences of a pair.

    Of a general class: many classes put their own tokens there anew when they are loaded.
    """
    backend, before = tokenizer.backend_tokenizer, tokenizer.backend_tokenizer.post_processor
    made = _processor(tokenizer, text)
    # It puts nothing anywhere: it sees to the places of letters.
    by_byte = isinstance(before, processors.ByteLevel)
    backend.post_processor = processors.Sequence([before, made]) if by_byte else made
    general: Any = PreTrainedTokenizerFast
    kept = {name: value for name, value in tokenizer.init_kwargs.items() if name in _KEPT}
    made_anew: PreTrainedTokenizerBase = general(
        tokenizer_object=backend,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_max_length=tokenizer.model_max_length,
        model_input_names=list(tokenizer.model_input_names),
        **{**kept, **tokenizer.special_tokens_map},
    )
    return made_anew


#: Of what a tokenizer was made with, beside its tokens.
_KEPT = ("name_or_path", "chat_template", "clean_up_tokenization_spaces")


def _processor(tokenizer: Any, text: Sequence[list[int]]) -> processors.TemplateProcessing:
    """What the tokenizer puts around its sentences as before, and text about those of a pair."""
    words, known = _two_words(tokenizer), dict[str, dict[str, Any]]()
    before, between, behind = text

    def named(ids: Sequence[int], types: Sequence[int]) -> list[str]:
        for number in ids:
            token = tokenizer.convert_ids_to_tokens(number)
            known[f"<{number}>"] = {"id": f"<{number}>", "ids": [number], "tokens": [token]}
        return [f"<{number}>:{kind}" for number, kind in zip(ids, types, strict=True)]

    def around(encoding: Any, middle: list[str]) -> list[str]:
        inside = [place for place, side in enumerate(encoding.sequence_ids) if side is not None]
        front, back = slice(inside[0]), slice(inside[-1] + 1, None)
        return [
            *named(encoding.ids[front], encoding.type_ids[front]),
            *middle,
            *named(encoding.ids[back], encoding.type_ids[back]),
        ]

    pair = tokenizer(*words).encodings[0]
    one, other = (
        next(pair.type_ids[place] for place, of in enumerate(pair.sequence_ids) if of == side)
        for side in (0, 1)
    )
    middle = [
        *named(before, [one] * len(before)),
        f"$A:{one}",
        *named(between, [one] * len(between)),
        f"$B:{other}",
        *named(behind, [other] * len(behind)),
    ]
    single = around(tokenizer(words[0]).encodings[0], ["$A:0"])
    return processors.TemplateProcessing(
        single=single, pair=around(pair, middle), special_tokens=list(known.values())
    )


def is_joined(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether nothing stands between the sentences of a pair."""
    words = _two_words(tokenizer)
    alone = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    joined, pair = [*alone[0], *alone[1]], tokenizer(*words)["input_ids"]
    places = range(len(pair) - len(joined) + 1)
    return any(pair[place : place + len(joined)] == joined for place in places)


def makes_nothing(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether no word leaves a token: the rules of its class are those of another vocabulary."""
    return not tokenizer(_two_words(tokenizer)[0], add_special_tokens=False)["input_ids"]


def is_bare(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether nothing stands before the sentences of a pair, nor behind them."""
    words = _two_words(tokenizer)
    first, last = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in words)
    pair = tokenizer(*words)["input_ids"]
    return bool(pair[: len(first)] == first and pair[-len(last) :] == last)


def _two_words(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """Two words that leave a token each."""
    special = set(tokenizer.all_special_tokens)
    known = (word for word in ("a", "b", *tokenizer.get_vocab()) if word not in special)
    leaving = (word for word in known if tokenizer(word, add_special_tokens=False)["input_ids"])
    first = next(leaving, "a")
    return first, next(leaving, first)


def _separators(tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, list[int]]]:
    """Texts that could separate, with their ids, the best first."""
    for text in (tokenizer.sep_token, "\n", tokenizer.eos_token):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        if ids and (tokenizer.unk_token_id not in ids or text == tokenizer.unk_token):
            yield text, ids
