"""The forms of an exported adapter for the card: what each takes, and what it loses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sweep.export.cost import Cost
from sweep.export.formats import Format, FormatScore

_LOADS: dict[Format, tuple[str, str]] = {
    "adapter": ("PEFT on its base", "PEFT on its base, SentenceTransformer"),
    "merged": ("transformers, CrossEncoder", "AutoModel, SentenceTransformer"),
    "onnx": ("`score.py`: onnxruntime, tokenizers, numpy",) * 2,
    "int8": ("`score.py`: onnxruntime, tokenizers, numpy",) * 2,
}
_HEAD = (
    "| folder | loads with | MB | on dev | beside the adapter, 95 % interval "
    "| largest difference of a score | ms a pair | pairs a second | memory MB |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def format_section(formats: Sequence[FormatScore], costs: Sequence[Cost], *, is_bi: bool) -> str:
    """A heading and a table; nothing where there is the adapter alone."""
    if not formats:
        return ""
    known = {cost.name: cost for cost in costs}
    rows = [_row("adapter", None, known.get("adapter"), is_bi)]
    rows += [_row(found.name, found, known.get(found.name), is_bi) for found in formats]
    return f"\n## Forms\n\n{_HEAD}{''.join(rows)}\n{_measured(costs)}"


def format_json(formats: Sequence[FormatScore], costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """The same for `metrics.json`."""
    known = {cost.name: dataclasses.asdict(cost) for cost in costs}
    return [
        {**dataclasses.asdict(found), "is_safe": found.is_safe, "cost": known.get(found.name)}
        for found in formats
    ]


def _row(name: Format, found: FormatScore | None, cost: Cost | None, is_bi: bool) -> str:
    cells = [f"`{name}/`", _LOADS[name][is_bi]]
    cells.append(_number(cost.file_mb if cost else None, ".1f"))
    if found is None:
        cells += ["as above", "", ""]
    else:
        cells += [f"{found.score:.4f}", _change(found), f"{found.largest:.1e}"]
    cells += [
        _number(cost.median_ms if cost else None, ".1f"),
        _number(cost.pairs_per_second if cost else None, ".0f"),
        _number(cost.peak_mb if cost else None, ".0f"),
    ]
    return f"| {' | '.join(cells)} |\n"


def _change(found: FormatScore) -> str:
    """Shorter than in a sentence."""
    change = found.difference
    return f"{change.value:+.4f} ({change.ci_low:+.4f} to {change.ci_high:+.4f})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _measured(costs: Sequence[Cost]) -> str:
    if not costs:
        return ""
    threads = costs[0].threads
    return (
        f"Times and memory are those of the machine that exported, on {threads} "
        f"thread{'s' * (threads > 1)}, for pairs of dev. The adapter needs its base as well. "
        "The scores of `int8/` move a little with the pairs that share a batch.\n"
    )
