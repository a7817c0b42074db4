"""Several values of one key as Hydra's multirun takes them, and what they are in a search space."""

from __future__ import annotations

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep

#: More values of a `range(...)` than are written out one by one.
_MANY = 12


def as_typed(values: object) -> str:
    """The values of a parameter as a text, from what the grammar has made of them."""
    if isinstance(values, ChoiceSweep):
        return f"choice({','.join(map(as_typed, values.list))})"
    if isinstance(values, RangeSweep):
        return f"range({values.start},{values.stop},{values.step})"
    if isinstance(values, IntervalSweep):
        interval = f"interval({values.start},{values.end})"
        return f"tag(log,{interval})" if "log" in values.tags else interval
    return str(getattr(values, "text", values))


def texts_of(override: Override) -> list[str]:
    """Each value in Hydra's grammar; none of an interval."""
    if not override.is_discrete_sweep():
        return []
    return [str(text) for text in override.sweep_string_iterator()]


def as_dimension(override: Override) -> str:
    """The values as an entry of `search.space`."""
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        log = ",log:true" if "log" in sweep.tags else ""
        return f"{{low:{sweep.start},high:{sweep.end}{log}}}"
    texts = texts_of(override)
    if isinstance(sweep, RangeSweep) and len(texts) > _MANY:
        return f"{{low:{texts[0]},high:{texts[-1]},step:{sweep.step}}}"
    return f"[{','.join(texts)}]"
