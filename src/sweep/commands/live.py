"""Looking at a study, and steering it, from another terminal while its driver runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console
from rich.text import Text

from sweep.core.commands import command, meant
from sweep.core.errors import ConfigError, StudyError
from sweep.core.files import ask_to_stop
from sweep.core.recipe import SEARCHABLE_KEYS
from sweep.loop.added import add_point, added_points
from sweep.loop.trial import RunState
from sweep.space.points import point_of
from sweep.space.space import parse_space
from sweep.study.folder import driver_of, is_driven, settings_of
from sweep.watch.console import duration, ranked_table

_SHOWN = 10


def show_status(folder: Path, console: Console) -> None:
    """Runs by state, the time left, the runs under way, and the ranking so far.

    Raises:
        StudyError: the folder holds no study.
    """
    table = _table(folder)
    counts = table["state"].value_counts()
    parts = [f"{counts[state.value]} {state.value}" for state in RunState if state.value in counts]
    driven = is_driven(folder)
    driver = f"driven by {driver_of(folder)}" if driven else "no driver is at work"
    _say(console, f"study  {folder}: {driver}", f"runs   {', '.join(parts) or 'none yet'}")
    left = _seconds_left(table, settings_of(folder)) if driven else None
    if left is not None:
        _say(console, f"left   about {duration(left)} of the search")
    waiting = len(added_points(folder))
    if waiting:
        _say(console, f"added  {waiting} config{'s' * (waiting > 1)} waiting to be taken up")
    for _, row in table[table["state"] == RunState.RUNNING.value].iterrows():
        dev = "" if pd.isna(row["pearson_last"]) else f"  dev {row['pearson_last']:.4f}"
        step = "" if pd.isna(row["steps"]) else f" at step {row['steps']:.0f}"
        name = f"trial {row['trial']:03d} {row['config_id']}-s{row['seed']}"
        _say(console, f"going  {name}{dev}{step}")
    board_file = folder / "leaderboard.csv"
    board = _csv(board_file) if board_file.is_file() else pd.DataFrame()
    if board.empty:
        return
    keys = [c for c in board.columns if "." in c]
    console.print()
    console.print(ranked_table(board.head(_SHOWN).to_dict("records"), keys=keys))


def _seconds_left(table: pd.DataFrame, content: Mapping[str, Any]) -> float | None:
    """At the pace of the runs that are done, with as many at a time as now."""
    ended = table[table["state"].isin([s.value for s in RunState if s.is_finished()])]
    going = table[table["state"] == RunState.RUNNING.value]
    if ended["train_seconds"].dropna().empty or going.empty:
        return None
    search = content["search"]
    space = parse_space(search["space"], valid_keys=SEARCHABLE_KEYS)
    most = math.inf if search["sampler"] == "grid" else search["n_trials"]
    configs = min(most, space.num_points or most)
    # Of a run under way, what lies behind its last evaluation is known to be done.
    under_way = (going["steps"].fillna(0) / max(ended["steps"].max(), 1)).clip(upper=1).sum()
    left = configs * len(search["seeds"]) - len(ended) - under_way
    return float(max(0.0, left) * ended["train_seconds"].mean() / len(going))


def stop_run(folder: Path, run_id: str) -> str:
    """Ask that a run under way ends as pruned; returns its full id.

    Args:
        run_id: An id, or the beginning of one.

    Raises:
        StudyError: no study, no driver, or not exactly one such run under way.
    """
    table = _table(folder)
    going = table[table["state"] == RunState.RUNNING.value]
    ids = [f"{row['config_id']}-s{row['seed']}" for _, row in going.iterrows()]
    found = meant(run_id, ids)
    if not is_driven(folder) or len(found) != 1:
        raise StudyError(
            "`--run` must be the id of one run under way, or the beginning of one.",
            value=f"`{run_id}` fits {len(found)} of {len(ids)} runs under way in {folder}",
            way_out=f"`{command('status', folder)}` lists them",
        )
    ask_to_stop(folder / "runs" / found[0], "stopped by hand")
    return found[0]


def add_config(folder: Path, values: Sequence[str]) -> str:
    """Queue a config in a study, whether it is under way or not; returns what will happen.

    Args:
        values: `key=value` for searched keys (or dimension=label); others are as in the study.

    Raises:
        ConfigError: the study's space does not hold such a config.
        StudyError: no study, or a grid, whose cells are trained anyway.
    """
    content = settings_of(folder)
    space = parse_space(content["search"]["space"], valid_keys=SEARCHABLE_KEYS)
    given = dict(_parsed(value) for value in values)

    def base(key: str) -> Any:
        part, _, name = key.partition(".")
        return content[part][name]

    point = point_of(space, base, given, subject="A config that is added")
    if content["search"]["sampler"] == "grid":
        raise StudyError(
            "A grid trains every config of its space.",
            value=", ".join(f"{name}={value}" for name, value in point.items()),
            way_out="a new value is added with the same command, `search.space` and resume=extend",
        )
    add_point(folder, point)
    when = "is next" if is_driven(folder) else "is the first at the next start"
    return f"{' '.join(f'{n}={v}' for n, v in point.items())} {when}, beside search.n_trials"


def _parsed(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError("A value is given as `key=value`.", value=f"`{text}`")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(
            "A value must be a number, a word or a list.", value=f"`{text}`"
        ) from None


def _table(folder: Path) -> pd.DataFrame:
    """The runs so far; none where the first is still to be taken up."""
    settings_of(folder)
    path = folder / "table.csv"
    return _csv(path) if path.is_file() else pd.DataFrame(columns=["state"])


def _csv(path: Path) -> pd.DataFrame:
    # An id of digits alone is no number.
    return pd.read_csv(path, dtype={"config_id": str})


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
