"""`status`, `verdict`, `stop`, `add`: looking at a study and steering it while it is driven."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from sweep.core.commands import command, meant
from sweep.core.errors import ConfigError, StudyError
from sweep.core.words import counted, duration
from sweep.loop.trial import RunState
from sweep.space.points import point_of
from sweep.study.exchange import CrewMember, read_crew
from sweep.study.files import StudyFiles
from sweep.study.lock import driver_of, is_driven
from sweep.study.notes import add_point, added_points, ask_to_stop
from sweep.study.rows import RunRow
from sweep.study.study import Study
from sweep.watch.ranking_tables import ranked_groups

_SHOWN = 10


def show_status(folder: Path, console: Console) -> None:
    """Runs by state, the time left, the runs under way, and the ranking so far.

    Raises:
        StudyError: the folder holds no study.
    """
    study = Study.open(folder)
    parts = [f"{count} {state.value}" for state, count in study.num_in_state.items() if count]
    driven = is_driven(folder)
    driver = f"driven by {driver_of(folder)}" if driven else "no driver is at work"
    _say(console, f"study  {folder}: {driver}", f"runs   {', '.join(parts) or 'none yet'}")
    if study.full_runs:
        done = sum(row.state.is_finished() for row in study.full_runs)
        runs = counted(len(study.full_runs), "run")
        _say(console, f"full   {done} of {runs} of full fine-tuning ended")
    left = seconds_left(study) if driven else None
    if left is not None:
        _say(console, f"left   about {duration(left)} of the search")
    waiting = len(added_points(folder))
    if waiting:
        _say(console, f"added  {counted(waiting, 'config')} waiting to be taken up")
    _say(console, *map(_under_way, [*going(study), *going_in_full(study)]))
    if driven:
        _say(console, *crew_lines(study.files), *crew_lines(study.files.full))
    if study.leaderboard:
        console.print()
        console.print(
            ranked_groups(study.leaderboard[:_SHOWN], keys=study.keys, metric=study.metric)
        )


def show_verdict(folder: Path, console: Console) -> None:
    """Which config to use, and how sure that is, in the sentences of the verdict.

    Raises:
        StudyError: the folder holds no study.
    """
    found = Study.open(folder).verdict
    _say(console, *(found.sentences if found else ("No run has a score yet.",)))


def crew_lines(files: StudyFiles) -> list[str]:
    """Who works on a study: each worker with its machine, its job and what it trains."""
    crew = read_crew(files.exchange)
    if crew is None:
        return []
    jobs = [f"jobs   {crew.jobs}"] if crew.jobs else []
    packs = [f"packs  {crew.waiting} waiting for a worker"] if crew.waiting else []
    return [*jobs, *packs, *map(_at_work, crew.members)]


def workers_at(study: Study) -> tuple[CrewMember, ...]:
    """Workers of a study that are no processes of its driver."""
    crews = [read_crew(files.exchange) for files in (study.files, study.files.full)]
    return tuple(member for crew in crews if crew for member in crew.members)


def _at_work(member: CrewMember) -> str:
    job = f", job {member.job}" if member.job else ""
    runs = f"trains {', '.join(member.run_ids)}" if member.run_ids else "waits"
    return f"worker {member.name} on {member.host}{job}: {runs} since {member.since}"


def going(study: Study) -> list[RunRow]:
    """Runs of the search that are under way."""
    return [row for row in study.runs if row.state is RunState.RUNNING]


def going_in_full(study: Study) -> list[RunRow]:
    """Runs of full fine-tuning that are under way."""
    return [row for row in study.full_runs if row.state is RunState.RUNNING]


def _under_way(row: RunRow) -> str:
    dev = "" if row.score_last is None else f"  dev {row.score_last:.4f}"
    step = "" if row.steps is None else f" at step {row.steps}"
    trial = "" if row.trial is None else f"trial {row.trial:03d} "
    return f"going  {trial}{row.run_id}{dev}{step}"


def seconds_left(study: Study) -> float | None:
    """At the pace of the runs that are done, with as many at a time as now."""
    ended = [row for row in study.runs if row.state.is_finished()]
    seconds = [row.train_seconds for row in ended if row.train_seconds is not None]
    now = going(study)
    if not seconds or not now:
        return None
    longest = max((row.steps or 0 for row in ended), default=0) or 1
    # Of a run under way, what lies behind its last evaluation is known to be done.
    under_way = sum(min((row.steps or 0) / longest, 1) for row in now)
    runs = study.settings.num_configs * len(study.settings.seeds)
    return max(0.0, runs - len(ended) - under_way) * fmean(seconds) / len(now)


def stop_run(folder: Path, run_id: str) -> str:
    """Ask that a run under way ends as pruned; returns its full id.

    Args:
        run_id: An id, or the beginning of one.

    Raises:
        StudyError: no study, no driver, or not exactly one such run under way.
    """
    study = Study.open(folder)
    in_full = [row.run_id for row in going_in_full(study)]
    ids = [*(row.run_id for row in going(study)), *in_full]
    found = meant(run_id, ids)
    if not is_driven(folder) or len(found) != 1:
        raise StudyError(
            "`--run` must be the id of one run under way, or the beginning of one.",
            value=f"`{run_id}` fits {len(found)} of {len(ids)} runs under way in {folder}",
            way_out=f"`{command('status', folder)}` lists them",
        )
    files = study.files.full if found[0] in in_full else study.files
    ask_to_stop(files.run(found[0]).folder, "stopped by hand")
    return found[0]


def add_config(folder: Path, values: Sequence[str]) -> str:
    """Queue a config in a study, whether it is under way or not; returns what will happen.

    Args:
        values: `key=value` for searched keys (or dimension=label); others are as in the study.

    Raises:
        ConfigError: the study's space does not hold such a config.
        StudyError: no study, or a grid, whose cells are trained anyway.
    """
    settings = Study.open(folder).settings
    given = dict(_parsed(value) for value in values)
    subject = "A config that is added"
    point = point_of(settings.space, settings.base.value_of, given, subject=subject)
    if settings.sampler == "grid":
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


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text(line), soft_wrap=True)
