"""What is said of pairs once they are tokenised: cut pairs, unknown words, how two are joined."""

from __future__ import annotations

from typing import Literal

from sweep.core.errors import DataError
from sweep.core.words import counted
from sweep.data.findings import Finding, Split
from sweep.data.token_ids import Seen

#: Share of unknown words from which they are said, and above which a model is refused.
_SAID, _MOST = 0.05, 0.5
#: Share of cut pairs up to which nothing much is lost.
_FEW = 0.01


def cut_finding(
    seen: Seen, *, split: Split, max_length: int, most: int | None = None, of: str = ""
) -> Finding | None:
    """How many pairs of a split are cut; None where none is.

    Args:
        most: Tokens that the model takes at most.
        of: Names the model, where there are several.
    """
    if not seen.cut:
        return None
    sentence = f"{cut_words(seen, split, max_length=max_length, most=most)}{of}"
    level: Literal["info", "warn"] = "warn" if seen.cut_share > _FEW else "info"
    return Finding("cut", level, (split,), sentence, seen.cut)


def cut_words(seen: Seen, noun: str, *, max_length: int, most: int | None = None) -> str:
    """`46 of 48 dev pairs (96%) are cut to data.max_length=32 tokens; 135 would fit 99% ...`."""
    share = f" ({seen.cut_share:.0%})" if seen.cut_share >= 0.01 else ""
    pairs = f"{seen.cut:,} of {counted(seen.rows, f'{noun} {seen.unit}')}{share}"
    cut = f"{pairs} {'is' if seen.cut == 1 else 'are'} cut to data.max_length={max_length} tokens"
    if seen.fitting <= max_length:
        return cut
    limit = f"; the model takes {most} at most" if most and most < seen.fitting else ""
    return f"{cut}; {seen.fitting} would fit 99% of them{limit}"


def unknown_finding(
    seen: Seen, *, split: Split, model: str, on_unknown: str, of: str = ""
) -> Finding | None:
    """Words of a split that the model's tokenizer does not know; None where they are few.

    Raises:
        DataError: they are more than a half, and `on_unknown` is `error`.
    """
    if seen.unknown.share < _SAID:
        return None
    sentence = unknown_words_told(seen, split)
    if seen.unknown.share > _MOST and on_unknown == "error":
        raise DataError(
            f"The model must know most words of the {seen.unit}s.",
            value=f"{sentence} of {model}",
            way_out="take a model that was trained on the language of the "
            f"{seen.unit}s, for Korean "
            "`model=klue_roberta_small`; `data.on_unknown=warn` trains all the same",
        )
    examples = seen.unknown.examples
    return Finding("unknown", "warn", (split,), f"{sentence}{of}", seen.unknown.count, examples)


def unknown_words_told(seen: Seen, noun: str) -> str:
    """`93% of the words of the dev pairs (고양이, 책상, ...) are unknown to the tokenizer`."""
    few = ", ".join(example[:20] for example in seen.unknown.examples[:3])
    shown = f" ({few}, ...)" if few else ""
    share = seen.unknown.share
    return (
        f"{share:.0%} of the words of the {noun} {seen.unit}s{shown} are unknown to the tokenizer"
    )


def said_of(seen: Seen, noun: str, *, max_length: int) -> list[str]:
    """What whoever scores pairs is to know of them."""
    return [
        *([cut_words(seen, noun, max_length=max_length)] if seen.cut else []),
        *([unknown_words_told(seen, noun)] if seen.unknown.share >= _SAID else []),
    ]
