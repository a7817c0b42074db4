"""What scoring takes, on the card of an export: a table, a picture, a sentence."""

from __future__ import annotations

import re
from html import escape

from sweep.core.files import write_text
from sweep.study.files import ExportedFiles
from sweep.study.scoring_costs import HEADS, Cost, ScoringCosts, write_scoring_costs

#: Around the section, so that a later measurement takes its place.
_BEGIN, _END = "<!-- what scoring takes -->", "<!-- end of what scoring takes -->"
_OTHER_BASE = (
    "The nf4 base is not the one that the adapter was trained on: it costs so much, and scores "
    "otherwise."
)
_WIDTH, _ROW, _LEFT, _RIGHT = 640, 22, 170, 70
_COLOURS = ("#3b6fb6", "#8fb3dd")
#: It has a ground of its own: pages that show it may be dark.
_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="8" y="16" fill="#333333">pairs a second</text>
{bars}
</svg>
"""


def note_costs(files: ExportedFiles, costs: ScoringCosts) -> None:
    """Keep what was measured beside a form, and show it on the card where that has a place."""
    write_scoring_costs(files, costs)
    write_text(files.picture, picture(costs))
    card = files.card.read_text(encoding="utf-8") if files.card.is_file() else ""
    place = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
    section = cost_section(costs, files.picture.name).strip()
    if place.search(card):
        write_text(files.card, place.sub(lambda _: section, card))


def cost_section(costs: ScoringCosts, picture: str) -> str:
    """Markdown."""
    lines = [HEADS, *(("---",) * len(HEADS),), *(cost.cells for cost in costs.costs)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    other = f"\n{_OTHER_BASE}\n" if any(cost.name == "adapter nf4" for cost in costs.costs) else ""
    return (
        f"\n{_BEGIN}\n## What scoring takes\n\n{table}\n\n![Pairs a second of each form]({picture})"
        f"\n\n{costs.sentence} Pairs are those of dev; the file of an adapter is without its base."
        f"\n{other}{_END}\n"
    )


def picture(costs: ScoringCosts) -> str:
    """An SVG of bars: each form on each number of threads."""
    most = max((cost.pairs_per_second for cost in costs.costs), default=1.0)
    numbers = list(costs.on_threads)
    names = dict.fromkeys(cost.name for cost in costs.costs)
    rows = [cost for name in names for cost in costs.costs if cost.name == name]
    bars = [_bar(cost, at, most, numbers.index(cost.threads)) for at, cost in enumerate(rows)]
    height = 34 + _ROW * len(rows)
    return _SVG.format(width=_WIDTH, height=height, bars="\n".join(bars))


def _bar(cost: Cost, at: int, most: float, colour: int) -> str:
    top, room = 28 + _ROW * at, _WIDTH - _LEFT - _RIGHT
    width = max(1.0, room * cost.pairs_per_second / most)
    threads = f"{cost.threads} thread{'s' * (cost.threads > 1)}"
    return (
        f'<text x="{_LEFT - 8}" y="{top + 12}" text-anchor="end" fill="#333333">'
        f"{escape(cost.called)}, {threads}</text>"
        f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_ROW - 6}" '
        f'fill="{_COLOURS[min(colour, 1)]}"/>'
        f'<text x="{_LEFT + width + 6:.1f}" y="{top + 12}" fill="#333333">'
        f"{cost.pairs_per_second:,.0f}</text>"
    )
