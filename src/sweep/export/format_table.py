"""The forms of an exported adapter for the card: who loads each, and what it loses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sweep.export.formats import Format, FormatScore
from sweep.study.scoring_costs import Cost

_LOADS: dict[Format, tuple[str, str]] = {
    "adapter": ("PEFT on its base", "PEFT on its base, SentenceTransformer"),
    "merged": ("transformers, CrossEncoder", "AutoModel, SentenceTransformer"),
    "onnx": ("`score.py`: onnxruntime, tokenizers, numpy",) * 2,
    "int8": ("`score.py`: onnxruntime, tokenizers, numpy",) * 2,
}
_MOVES = "\nThe scores of `int8/` move a little with the pairs that share a batch.\n"
_HEAD = (
    "| folder | loads with | MB | on dev | beside the adapter, 95 % interval "
    "| largest difference of a score |\n"
    "|---|---|---|---|---|---|\n"
)


def format_section(formats: Sequence[FormatScore], costs: Sequence[Cost], *, is_bi: bool) -> str:
    """A heading and a table; nothing where there is the adapter alone."""
    if not formats:
        return ""
    known = {cost.name: cost for cost in costs}
    rows = [_row("adapter", None, known.get("adapter"), is_bi)]
    moves = any(found.name == "int8" for found in formats)
    rows += [_row(found.name, found, known.get(found.name), is_bi) for found in formats]
    return f"\n## Forms\n\n{_HEAD}{''.join(rows)}{_MOVES if moves else ''}"


def format_json(formats: Sequence[FormatScore], costs: Sequence[Cost] = ()) -> list[dict[str, Any]]:
    """The same for `metrics.json`."""
    known = {cost.name: dataclasses.asdict(cost) for cost in costs}
    return [
        {**dataclasses.asdict(found), "is_safe": found.is_safe, "cost": known.get(found.name)}
        for found in formats
    ]


def _row(name: Format, found: FormatScore | None, cost: Cost | None, is_bi: bool) -> str:
    cells = [f"`{name}/`", _LOADS[name][is_bi]]
    cells.append(f"{cost.file_mb:.1f}" if cost and cost.file_mb is not None else "")
    if found is None:
        cells += ["as above", "", ""]
    else:
        cells += [f"{found.score:.4f}", _change(found), f"{found.largest:.1e}"]
    return f"| {' | '.join(cells)} |\n"


def _change(found: FormatScore) -> str:
    """Shorter than in a sentence."""
    change = found.difference
    return f"{change.value:+.4f} ({change.ci_low:+.4f} to {change.ci_high:+.4f})"
