"""One entry of `search.space`, turned into a dimension."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from sweep.core.errors import ConfigError
from sweep.core.words import label_of
from sweep.space.dimensions import Choices, Condition, Dimension, Range

_WHEN = "when"
_ENDS = ("low", "high")


def is_constant(entry: object) -> bool:
    """A plain value sets its key at every point."""
    return isinstance(entry, (bool, int, float, str))


def parse_dimension(name: str, entry: object, valid: set[str]) -> Dimension:
    """A dimension from an entry that is no constant.

    Raises:
        ConfigError: the entry has no form that is known, or a key that is not.
    """
    when = _parse_when(name, entry.get(_WHEN, {})) if isinstance(entry, Mapping) else ()
    content = _without_when(entry)
    if _is_range(content):
        assert isinstance(content, Mapping)
        check_key(name, name, valid)
        return _parse_range(name, content, when)
    if isinstance(content, Mapping) and set(content) == {"values"}:
        content = content["values"]
    if isinstance(content, (list, tuple)) and content:
        check_key(name, name, valid)
        options = tuple((label_of(v), ((name, _frozen(v)),)) for v in _unique(content))
        return Choices(name, options, when)
    if _is_labelled(content):
        assert isinstance(content, Mapping)
        for key in dict.fromkeys(key for values in content.values() for key in values):
            check_key(key, name, valid)
        return _parse_labelled(name, content, when)
    raise ConfigError(
        f"`search.space.{name}` must be a list of values, a range `{{low, high}}`, "
        "labels with the keys they set, or a plain value.",
        value=repr(entry),
        way_out=f"for example `{name}: [value, value]`",
    )


def check_key(key: str, dimension: str, valid: set[str]) -> None:
    """Refuse a key that can't be searched.

    Raises:
        ConfigError: it is a seed, or no key of the configuration.
    """
    if key == "seed" or key.endswith(".seed"):
        raise ConfigError(
            "The seed can't be searched: the luckiest seed is not a setting.",
            value=f"`{key}` in `search.space.{dimension}`",
            way_out="list seeds under `search.seeds`; a config's score is their mean",
        )
    if key not in valid:
        near = get_close_matches(key, sorted(valid), n=1)
        raise ConfigError(
            "Every key of `search.space` must be a key of the configuration.",
            value=f"`{key}` in `search.space.{dimension}`",
            way_out=f"did you mean `{near[0]}`?" if near else "see `python -m sweep --cfg`",
        )


def _without_when(entry: object) -> object:
    if not isinstance(entry, Mapping):
        return entry
    return {key: value for key, value in entry.items() if key != _WHEN}


def _parse_when(name: str, content: object) -> tuple[Condition, ...]:
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"`search.space.{name}.when` must say which labels of which dimensions it takes.",
            value=repr(content),
            way_out="for example `when: {lora.target_modules: [all-linear]}`",
        )
    return tuple(Condition(other, _labels(labels)) for other, labels in content.items())


def _labels(content: object) -> tuple[str, ...]:
    return tuple(map(label_of, content if isinstance(content, (list, tuple)) else [content]))


def _is_range(content: object) -> bool:
    """Whether it has an end of a range; labels may be named `low` and `high`, too."""
    if not isinstance(content, Mapping):
        return False
    ends = [content[end] for end in _ENDS if end in content]
    return bool(ends) and not any(isinstance(end, Mapping) for end in ends)


def _is_labelled(content: object) -> bool:
    if not isinstance(content, Mapping) or not content:
        return False
    return all(isinstance(values, Mapping) and values for values in content.values())


def _parse_labelled(
    name: str, entry: Mapping[str, Mapping[str, Any]], when: tuple[Condition, ...]
) -> Choices:
    choices = Choices(
        name,
        tuple(
            (str(label), tuple((key, _frozen(v)) for key, v in values.items()))
            for label, values in entry.items()
        ),
        when,
    )
    for label in choices.labels:
        missing = set(choices.keys) - set(choices.values(label))
        if missing:
            raise ConfigError(
                f"Every label of `search.space.{name}` must set the same keys.",
                value=f"`{label}` does not set {', '.join(sorted(missing))}",
                way_out="write the value out, also where it is the default",
            )
    return choices


def _parse_range(name: str, entry: Mapping[str, Any], when: tuple[Condition, ...]) -> Range:
    if missing := [end for end in _ENDS if end not in entry]:
        raise ConfigError(
            f"A range `search.space.{name}` needs both of its ends, `low` and `high`.",
            value=dict(entry),
            way_out=f"add `{missing[0]}`, or list the values",
        )
    unknown = set(entry) - {*_ENDS, "log", "step"}
    low, high, step, log = entry["low"], entry["high"], entry.get("step"), bool(entry.get("log"))
    if unknown or not _is_number(low) or not _is_number(high) or low > high:
        raise ConfigError(
            f"`search.space.{name}` must be `{{low, high[, log][, step][, when]}}` "
            "with low <= high.",
            value=dict(entry),
        )
    if log and (low <= 0 or step is not None):
        raise ConfigError(
            f"A log range `search.space.{name}` needs low > 0 and no step.", value=dict(entry)
        )
    if step is not None and (not _is_number(step) or step <= 0):
        raise ConfigError(f"The step of `search.space.{name}` must be above 0.", value=step)
    integer = all(isinstance(n, int) for n in (low, high, 1 if step is None else step))
    return Range(name, low, high, log=log, step=step, integer=integer, when=when)


def _unique(values: Iterable[Any]) -> list[Any]:
    return list({label_of(value): value for value in values}.values())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
