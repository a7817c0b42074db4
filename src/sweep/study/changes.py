"""What may change between two starts of a study, and how a change of anything else is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sweep.core.errors import StudyError

Resume = Literal["continue", "extend", "restart"]

#: Settings that may change between starts without changing any result.
_FREE = (
    "baseline",
    "baselines",
    "confirm",
    "executor",
    "tracking",
    "resume",
    "results_dir",
    "name",
    "search.timeout_min",
    "search.when_used_up",
    "search.baseline",
    "search.start_with",
    "data.on_alike",
    "data.on_unknown",
)
#: Digests of data and weights.
_PRINTS = "fingerprints."
_PAIRS = ("fingerprints.train", "fingerprints.dev")
#: Of the file, not of the sweep.
_NO_SETTINGS = ("format", "versions", "sizes")
#: Settings that `resume=extend` may change.
_EXTENDABLE = ("search.space", "search.seeds", "search.n_trials", "search.race")


def refuse_changes(
    folder: Path,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    resume: Resume,
    defaults: Mapping[str, Any],
) -> None:
    allowed = _FREE + (_EXTENDABLE if resume == "extend" else ())
    before, after = _flatten(old), _flatten(new)
    known = _flatten(defaults)
    before |= {key: known[key] for key in after if key in known and key not in before}
    changed = [
        key
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
        and not any(key == a or key.startswith(f"{a}.") for a in (*allowed, *_NO_SETTINGS))
        # A grown space may bring models and data along.
        and not (resume == "extend" and key.startswith("fingerprints.") and key not in before)
        # The commit of a model from the Hub was not found out before.
        and not (key.startswith("fingerprints.") and before.get(key) == "unknown")
    ]
    if resume == "extend":
        _refuse_fewer_seeds(before.get("search.seeds"), after.get("search.seeds"))
    if not changed:
        return
    lines = [_in_words(key, before, after) for key in _without_echoes(changed)]
    extendable = all(any(k.startswith(e) for e in _EXTENDABLE) for k in changed)
    extend = "`resume=extend` adds the new cells, " if extendable else ""
    raise StudyError(
        f"The settings of a study can't change: {folder} was begun with others.",
        value="\n           ".join(lines[:8] + ["..."] * (len(lines) > 8)),
        way_out=f"{extend}`resume=restart` moves the old study aside and begins anew, "
        "`name=...` keeps both",
    )


def _without_echoes(changed: Sequence[str]) -> list[str]:
    """Other pairs are no news where another file was named, nor other weights of another model."""
    parts = {key.partition(".")[0] for key in changed}
    named = {"data": _PAIRS, "model": ("fingerprints.weights",)}
    echoes = [prefix for part in named if part in parts for prefix in named[part]]
    return [key for key in changed if not key.startswith(tuple(echoes))]


def _in_words(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What was changed: the file and what is in it, or the setting and its values."""
    name = key.removeprefix(_PRINTS)
    if name == key:
        return f"`{key}` was {before.get(key, 'unset')!r}, now {after.get(key, 'unset')!r}"
    split, _, place = name.partition(" of ")
    if split == "weights":
        return f"the weights of {place or after.get('model.path')} were changed"
    pairs = f"the {split} pairs of {place or _origin(split, after)}"
    then, now = (sizes.get(f"sizes.{name}") for sizes in (before, after))
    if None not in (then, now) and then != now:
        return f"{pairs} were {then:,}, now {now:,}"
    as_many = f" as many ({now:,})," if now is not None and then == now else ""
    return f"{pairs} were changed:{as_many} but with other texts or labels"


def _origin(split: str, settings: Mapping[str, Any]) -> str:
    """Where a split comes from, as the user has named it."""
    if settings.get("data.source") == "files":
        return str(settings.get(f"data.{split}"))
    return str(settings.get("data.path") or "the generated data")


def _refuse_fewer_seeds(old: Any, new: Any) -> None:
    """A run on a seed that the search has left would be taken for one that confirms it."""
    if isinstance(old, list) and isinstance(new, list) and new[: len(old)] != old:
        raise StudyError(
            "`resume=extend` adds seeds behind those that a study has.",
            value=f"`search.seeds` was {old}, now {new}",
            way_out=f"for example `search.seeds={[*old, *(s for s in new if s not in old)]}`, or "
            "`name=...` for a study of its own",
        )


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
