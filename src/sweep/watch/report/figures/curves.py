"""The score on dev by step, and where pruning ended runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from sweep.core.words import counted
from sweep.loop.trial import Evaluation, Glimpse, RunState
from sweep.stats.levels import Factor
from sweep.watch.report.figures.parts import MANY, SCORE, Figure, factor_name, layout, series

#: Lines that a reader can still tell apart.
MAX_CURVES = 200
_ENDS = {RunState.PRUNED: "x-thin-open", RunState.FAILED: "circle-x-open"}


@dataclass(frozen=True)
class Curve:
    """A run and its evaluations, at least one.

    `audited_step` is where pruning would have ended a run that was trained on.
    """

    config_id: str
    words: str
    seed: int
    state: RunState
    evaluations: tuple[Evaluation, ...]
    audited_step: int | None = None
    glimpses: tuple[Glimpse, ...] = ()

    @property
    def seen(self) -> list[Evaluation | Glimpse]:
        """All that was seen of it, by step."""
        return sorted((*self.evaluations, *self.glimpses), key=lambda at: at.step)

    def told(self, at: Evaluation | Glimpse) -> str:
        """Hover text of a point."""
        where = f"<b>{at.score:.4f}</b> at step {at.step}"
        if isinstance(at, Glimpse):
            where = f"about <b>{at.score:.2f}</b> at step {at.step}, on a few pairs"
        return f"{where}<br>{escape(self.words)}<br>seed {self.seed}"


def learning_curves(
    runs: Sequence[Curve], factor: Factor | None, level_of: Mapping[str, int], best: str | None
) -> Figure:
    """The score on dev by step, a line per run; a cross where pruning ended it.

    Args:
        level_of: Level of the factor by config id.
        best: Id of the config that is drawn on top.
    """
    thin = 1.6 if len(runs) <= MANY else 0.8
    complete = [run for run in runs if run.state is RunState.COMPLETE]
    names = factor.levels if factor else ()
    traces = []
    for level, name in [*enumerate(names), (None, "all configs")]:
        own = [r for r in complete if r.config_id != best and level_of.get(r.config_id) == level]
        if own:
            traces.append(_curves(own, name=name, colour=series(level or 0), width=thin))
    for state in _ENDS:
        ended = [run for run in runs if run.state is state]
        traces += _ended(ended, state, width=thin) if ended else []
    champion = [run for run in complete if run.config_id == best]
    if champion:
        traces.append(_curves(champion, name="best config", colour="@ink", width=2.6))
    if len(runs) <= MANY and (glimpsed := [run for run in runs if run.glimpses]):
        traces.insert(0, _glimpses(glimpsed))
    audited = [run for run in runs if run.audited_step is not None]
    if audited:
        traces.append(_audited(audited))
    x: Figure = {"title": {"text": "step"}, "rangemode": "tozero"}
    y: Figure = {"title": {"text": SCORE}}
    legend = factor_name(factor) if factor else ""
    return {"data": traces, "layout": layout(height=420, x=x, y=y, legend=legend)}


def stops(pruned: Mapping[int, int]) -> Figure:
    """How many runs were ended after how many steps."""
    steps = sorted(pruned)
    trace = {
        "type": "bar",
        "x": [f"{step:,}" for step in steps],
        "y": [pruned[step] for step in steps],
        "marker": {"color": series(0)},
        "hoverinfo": "text",
        "hovertext": [f"{counted(pruned[s], 'run')} ended after {s:,} steps" for s in steps],
        "width": 0.5,
    }
    x: Figure = {"title": {"text": "steps trained"}, "type": "category", "showgrid": False}
    y: Figure = {"title": {"text": "runs ended"}, "rangemode": "tozero", "nticks": 5}
    return {"data": [trace], "layout": layout(height=260, x=x, y=y)}


def _curves(
    runs: Sequence[Curve], *, name: str, colour: str, width: float, dash: str = "solid"
) -> Figure:
    """The lines of several runs as one trace with gaps: a thousand traces would be slow."""
    return _lines([(run, run.evaluations) for run in runs]) | {
        "mode": "lines+markers",
        "name": escape(name),
        "opacity": 0.85,
        "line": {"color": colour, "width": width, "dash": dash},
        "marker": {"color": colour, "size": 2.5 * width},
    }


def _glimpses(runs: Sequence[Curve]) -> Figure:
    """What lies between the evaluations, faint: it rests on a few pairs."""
    return _lines([(run, run.seen) for run in runs]) | {
        "mode": "lines",
        "name": "on a few pairs, between",
        "opacity": 0.5,
        "line": {"color": "@muted", "width": 0.8, "dash": "dot"},
    }


def _lines(drawn: Sequence[tuple[Curve, Sequence[Evaluation | Glimpse]]]) -> Figure:
    xs: list[int | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for run, seen in drawn:
        xs += [*(at.step for at in seen), None]
        ys += [*(at.score for at in seen), None]
        texts += [*(run.told(at) for at in seen), ""]
    return {"type": "scatter", "x": xs, "y": ys, "hoverinfo": "text", "hovertext": texts}


def _ended(runs: Sequence[Curve], state: RunState, *, width: float) -> list[Figure]:
    """Dotted lines with a mark at their ends."""
    name = state.value
    lines = _curves(runs, name=name, colour="@muted", width=width, dash="dot")
    lines |= {"legendgroup": name, "opacity": 0.6}
    ends = [(run.evaluations[-1], f"{name}: {run.told(run.evaluations[-1])}") for run in runs]
    marks = _marks(ends, symbol=_ENDS[state])
    return [lines, marks | {"legendgroup": name, "showlegend": False}]


def _audited(runs: Sequence[Curve]) -> Figure:
    """Where audited runs would have been ended."""
    found = [
        (at, f"to be pruned here, trained on: {run.told(at)}")
        for run in runs
        for at in run.evaluations
        if at.step == run.audited_step
    ]
    return _marks(found, symbol="diamond-open") | {"name": "audited"}


def _marks(found: Sequence[tuple[Evaluation, str]], *, symbol: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [at.step for at, _ in found],
        "y": [at.score for at, _ in found],
        "hoverinfo": "text",
        "hovertext": [text for _, text in found],
        "marker": {"color": "@ink", "size": 8, "symbol": symbol, "line": {"width": 1.6}},
    }
