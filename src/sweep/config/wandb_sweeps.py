"""Sweeps of wandb given as an experiment: what their keys are called here, and the command."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.config.grammar import quoted
from sweep.config.names import known_key
from sweep.config.old_spellings import space_word
from sweep.core.commands import command
from sweep.core.errors import ConfigError

_SAMPLERS = {"grid": "grid", "random": "random", "bayes": "tpe"}
#: Keys that such a file has beside `parameters`; one of them makes it one.
_MARKS = ("method", "metric", "program", "command", "early_terminate", "run_cap")
_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
_WORDS_OF_THE_GRAMMAR = ("true", "false", "null", "nan", "inf")


def refuse_wandb_sweep(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a file that `wandb sweep` takes.

    Raises:
        ConfigError: names its keys, what each is called here, and the command that does the same.
    """
    parameters = content.get("parameters")
    if not isinstance(parameters, Mapping) or not any(mark in content for mark in _MARKS):
        return
    words, unknown = _what_is_tried(parameters)
    said = "; ".join(f"`{key}` {meaning}" for key, meaning in _meanings(content))
    aside = f" (not taken over: `{'`, `'.join(unknown)}`)" if unknown else ""
    raise ConfigError(
        f"An experiment is written in this program's keys; `{path.name}` is a sweep of wandb.",
        value=said + aside,
        way_out=command(*_about_search(path, content), *words),
    )


def _meanings(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key of the file, and what takes its place."""
    meanings = {
        "method": "is `search`",
        "metric": "is `task.metric` on dev, the higher the better",
        "parameters": "is `search.space`",
        "run_cap": "is `search.n_trials`",
        "early_terminate": "is `search.pruner`",
        "name": "is `name`",
        "project": "is `tracking.project`",
        "entity": "is `tracking.entity`",
    }
    for key in content:
        yield str(key), meanings.get(str(key), "has nothing in its place")


def _about_search(path: Path, content: Mapping[str, Any]) -> list[str]:
    """Name, tracking and sampler of the sweep."""
    words = [f"name={_text(content.get('name') or path.stem)}"]
    words += [
        f"tracking.{key}={_text(content[key])}" for key in ("project", "entity") if key in content
    ]
    sampler = _SAMPLERS.get(str(content.get("method")), "grid")
    words.append(f"search={sampler}")
    if "run_cap" in content and sampler != "grid":
        words.append(f"search.n_trials={_text(content['run_cap'])}")
    if "early_terminate" in content:
        words.append("search.pruner=hyperband")
    return words


def _what_is_tried(parameters: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Words for the parameters, and names of those that are not taken over."""
    words: list[str] = []
    space: dict[str, str] = {}
    unknown = []
    for name, entry in _flat(parameters):
        key = known_key(name) or known_key(name.rpartition(".")[2])
        dimension = _dimension(entry)
        if key is None or (dimension is None and "value" not in entry):
            unknown.append(name)
        elif key == "search.seeds":
            words.append(f"{key}={_text(entry.get('values') or [entry.get('value')])}")
        elif dimension is None:
            words.append(f"{key}={_text(entry['value'])}")
        else:
            space[key] = dimension
    return [*words, *([space_word(space)] if space else [])], unknown


def _flat(parameters: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Parameters by their dotted names; wandb nests them under `parameters`."""
    for name, entry in parameters.items():
        inner = entry.get("parameters") if isinstance(entry, Mapping) else None
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", dict(entry) if isinstance(entry, Mapping) else {"value": entry}


def _dimension(entry: Mapping[str, Any]) -> str | None:
    """A parameter as an entry of `search.space`; None where it has one value or no counterpart."""
    if isinstance(entry.get("values"), list):
        return _text(entry["values"])
    low, high = _number(entry.get("min")), _number(entry.get("max"))
    kind = str(entry.get("distribution", "uniform"))
    if low is None or high is None or "normal" in kind or "beta" in kind:
        return None
    if kind.endswith("log_uniform"):
        # Its ends are exponents of e.
        low, high = (float(f"{math.exp(end):.4g}") for end in (low, high))
    ends = f"low:{_text(low)},high:{_text(high)}"
    if "q" in entry or kind.startswith("q_"):
        return f"{{{ends},step:{_text(entry.get('q', 1))}}}"
    return f"{{{ends},log:true}}" if "log_uniform" in kind else f"{{{ends}}}"


def _number(value: object) -> int | float | None:
    """PyYAML reads `1e-4` as a text."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    try:
        return float(str(value))
    except ValueError:
        return None


def _text(value: object) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    number = _number(value)
    if number is not None:
        return f"{number:.10g}" if isinstance(number, float) else str(number)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_THE_GRAMMAR
    return text if plain else quoted(text)
