"""Whether a model can take what its tokenizer makes of the pairs: ids, lengths, needed tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from sweep.core.errors import ModelError
from sweep.core.words import counted

#: Token ids of the pairs of each split, row by row.
Ids = Mapping[Any, Sequence[Sequence[int]]]


def reads_the_last_token(net: PreTrainedModel) -> bool:
    """Whether the head scores the last token that is no padding, as those of decoders do."""
    return hasattr(net, "score")


def most_positions(net: nn.Module) -> int | None:
    """Tokens that a sequence may have; None where positions are not numbered one by one.

    RoBERTa counts from the number after its padding token, OPT and BART from 2.
    """
    tables = [
        table.num_embeddings - _first_position(table)
        for path, table in net.named_modules()
        if isinstance(table, nn.Embedding) and _numbers_positions(path)
    ]
    return min(tables, default=None)


def _numbers_positions(path: str) -> bool:
    name = path.rpartition(".")[2]
    return name == "wpe" or ("position" in name and "relative" not in name)


def _first_position(table: nn.Embedding) -> int:
    # OPT and BART have made their table longer by as much.
    offset = getattr(table, "offset", 0)
    return int(offset) if table.padding_idx is None else table.padding_idx + 1


def check_fit(
    net: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Ids,
    *,
    path: str,
    max_length: int,
    unit: str = "pair",
) -> None:
    """Hold the token ids of pairs against the model that is to read them.

    Args:
        net: The model, which needs no weights.
        path: Names the model.
        unit: What a row of ids is of: a pair, or a sentence of one.

    Raises:
        ModelError: an id that the embedding has no row for, more tokens than the model has
            positions for, or pairs without the token that the head reads.
    """
    for problem in (
        _ids_beyond(net, tokenizer, ids, path, unit),
        _too_long(net, ids, path, max_length, unit),
        _without_tokens(ids, path, unit),
        _without_end(net.config, tokenizer, ids, path),
    ):
        if problem is not None:
            raise problem


def _ids_beyond(
    net: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: Ids, path: str, unit: str
) -> ModelError | None:
    rows = net.get_input_embeddings().num_embeddings
    found = [
        *((max(row, default=0), f"{split} {unit} {place}") for split, place, row in _each(ids)),
        (tokenizer.pad_token_id, "padding"),
    ]
    highest, where = max(found)
    if highest < rows:
        return None
    token = str(tokenizer.convert_ids_to_tokens(highest))[:40]
    return ModelError(
        "Every token must have a row in the model's embedding.",
        value=f"token {highest} (`{token}`, {where}); the embedding of {path} has {rows} rows",
        way_out="take the tokenizer that the model was trained with: its folder holds another, or "
        "one with tokens added; else save the model after "
        "`model.resize_token_embeddings(len(tokenizer))`",
    )


def _too_long(
    net: PreTrainedModel, ids: Ids, path: str, max_length: int, unit: str
) -> ModelError | None:
    most = most_positions(net)
    if most is None:
        return None
    for split, rows in ids.items():
        lengths = [len(row) for row in rows]
        too_long = sum(length > most for length in lengths)
        if too_long:
            pairs = f"{too_long:,} of {counted(len(lengths), f'{split} {unit}')}"
            have = "has" if too_long == 1 else "have"
            return ModelError(
                f"A {unit} must have no more tokens than the model has positions for, {most}.",
                value=f"{pairs} {have} up to {max(lengths)} under data.max_length={max_length}; "
                f"{path} has {most} positions",
                way_out=f"`data.max_length={most}` cuts them, or take a model for longer texts",
            )
    return None


def _without_tokens(ids: Ids, path: str, unit: str) -> ModelError | None:
    """A tokenizer that puts nothing around a text leaves nothing of one that it does not know."""
    empty = next((f"{split} {unit} {place}" for split, place, row in _each(ids) if not row), None)
    if empty is None:
        return None
    return ModelError(
        f"A {unit} must have a token: of nothing the model makes nothing.",
        value=f"{empty} has none for the tokenizer of {path}",
        way_out="take the row out, or a model whose tokenizer knows its signs",
    )


def _without_end(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, ids: Ids, path: str
) -> ModelError | None:
    """The heads of BART and T5 read the last end token, of which all pairs must have as many."""
    if not config.is_encoder_decoder:
        return None
    expected: int | None = None
    for split, place, row in _each(ids):
        count = row.count(config.eos_token_id)
        expected = count if expected is None else expected
        if count == 0 or count != expected:
            return ModelError(
                "Every pair must have as many end tokens: the head of this model reads the last.",
                value=f"{split} pair {place} has {count} of token {config.eos_token_id}, the end "
                f"token of {path}",
                way_out="take the tokenizer that the model was trained with"
                if count == 0
                else f"take `{tokenizer.eos_token}` out of the texts",
            )
    return None


def _each(ids: Ids) -> Iterator[tuple[str, int, list[int]]]:
    """Split, number from 1, and tokens of every pair."""
    for split, rows in ids.items():
        for place, row in enumerate(rows, start=1):
            yield split, place, list(row)
