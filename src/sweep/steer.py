"""Looking at a study, and steering it, from another terminal while its driver runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.text import Text

from sweep.core.errors import StudyError
from sweep.core.files import ask_to_stop
from sweep.core.trial import RunState
from sweep.study import is_driven, settings_of
from sweep.watch.console import ranked_table

_SHOWN = 10


def show_status(folder: Path, console: Console) -> None:
    """Runs by state, the runs under way, and the ranking so far.

    Raises:
        StudyError: the folder holds no study.
    """
    table = _table(folder)
    counts = table["state"].value_counts()
    parts = [f"{counts[state.value]} {state.value}" for state in RunState if state.value in counts]
    driver = "a driver is at work" if is_driven(folder) else "no driver is at work"
    _say(console, f"study  {folder}: {driver}", f"runs   {', '.join(parts) or 'none yet'}")
    for _, row in table[table["state"] == RunState.RUNNING.value].iterrows():
        score = "" if pd.isna(row["pearson_last"]) else f"  dev {row['pearson_last']:.4f}"
        _say(console, f"going  trial {row['trial']:03d} {row['config_id']}-s{row['seed']}{score}")
    board_file = folder / "leaderboard.csv"
    board = pd.read_csv(board_file) if board_file.is_file() else pd.DataFrame()
    if board.empty:
        return
    keys = [c for c in board.columns if "." in c]
    console.print()
    console.print(ranked_table(board.head(_SHOWN).to_dict("records"), keys=keys))


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
    found = [name for name in ids if name.startswith(run_id)]
    if not is_driven(folder) or len(found) != 1:
        raise StudyError(
            "`--run` must be the id of one run under way, or the beginning of one.",
            value=f"`{run_id}` fits {len(found)} of {len(ids)} runs under way in {folder}",
            way_out=f"`python -m sweep status {folder}` lists them",
        )
    ask_to_stop(folder / "runs" / found[0], "stopped by hand")
    return found[0]


def _table(folder: Path) -> pd.DataFrame:
    """The runs so far; none where the first is still to be taken up."""
    settings_of(folder)
    path = folder / "table.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["state"])


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
