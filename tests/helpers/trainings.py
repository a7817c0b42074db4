"""Trainings that cost nothing and end in every way: children import nothing else of a test."""

from __future__ import annotations

import os
import signal
import struct
import time
from multiprocessing.connection import Connection
from pathlib import Path

from sweep.core.errors import RunFailed
from sweep.core.files import write_text
from sweep.loop.ports import Handle, Pack
from sweep.loop.trial import Finished, Outcome, Paused, Progress, Run, RunState
from sweep.study.files import RunFiles
from sweep.study.notes import asked_to_pause, asked_to_stop


def scored(run: Run) -> Finished:
    return Finished(run.id, Outcome(RunState.COMPLETE, score=run.recipe.lora.r / 100))


def die_after(sent: int) -> None:
    """Have this process be killed when so many bytes of its next message have been sent."""

    def cut(line: Connection, content: bytes) -> None:
        message = struct.pack("!i", len(content)) + bytes(content)
        os.write(line.fileno(), message[:sent])
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send_bytes = cut  # type: ignore[attr-defined]


def train_by_rank(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Rank 1 fails with a reason, 2 with a bug, 3 runs out of memory; others score."""
    for run in pack:
        handle(Progress(run.id, 1, 2))
        rank = run.recipe.lora.r
        if rank == 1:
            raise RunFailed("diverged")
        if rank == 2:
            raise KeyError("eval_pearson")
        if rank == 3:
            raise MemoryError
        (runs_dir / run.id / "adapter").mkdir()
        print(f"threads {os.environ.get('OMP_NUM_THREADS')}")
        print(f"cores {sorted(os.sched_getaffinity(0))}")
        handle(scored(run))


def train_dying(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Rank 1 kills its worker every time, rank 2 the first time only: its rung says so."""
    for run in pack:
        rank = run.recipe.lora.r
        mark = RunFiles(runs_dir / run.id).checkpoint
        if rank == 1 or (rank == 2 and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        handle(scored(run))


def train_dying_in_a_message(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """As `train_dying`, in the middle of telling the score, or of saying how long that will be."""
    for run in pack:
        rank = run.recipe.lora.r
        mark = RunFiles(runs_dir / run.id).checkpoint
        if rank == 1 or (rank == 2 and not mark.exists()):
            mark.touch()
            die_after(2 if rank == 2 else 20)
        handle(scored(run))


def train_two_at_once(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Memory is enough for two runs; says how many came."""
    print(f"size {len(pack)}")
    if len(pack) > 2:
        raise MemoryError
    for run in pack:
        handle(scored(run))


def train_slowly(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    handle(Progress(pack[0].id, 1, 2))
    time.sleep(60)
    (runs_dir / pack[0].id / "over").touch()


def train_until_asked_to_stop(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    for run in pack:
        handle(Progress(run.id, 1, 2))
        while (reason := asked_to_stop(runs_dir / run.id)) is None:
            time.sleep(0.02)
        handle(Finished(run.id, Outcome(RunState.PRUNED, reason=reason)))


def train_broken_while_one_is_to_stop(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    first = pack[0]
    if len(pack) > 1:
        handle(Progress(first.id, 1, 2))
        while asked_to_stop(runs_dir / first.id) is None:
            time.sleep(0.02)
        raise KeyError("broken before anybody has looked")
    reason = asked_to_stop(runs_dir / first.id)
    handle(Finished(first.id, Outcome(RunState.PRUNED, reason=reason)) if reason else scored(first))


def train_step_by_step(pack: Pack, runs_dir: Path, handle: Handle) -> None:
    """Sixteen steps of a quarter of a second; a rung after each, and at a note it leaves."""
    for run in pack:
        rung = RunFiles(runs_dir / run.id).checkpoint
        first = int(rung.read_text()) + 1 if rung.is_file() else 1
        for step in range(first, 17):
            handle(Progress(run.id, step, 16))
            time.sleep(0.25)
            write_text(rung, str(step))
            if asked_to_pause(runs_dir):
                handle(Paused(run.id, Outcome(RunState.PRUNED)))
                break
        else:
            handle(scored(run))
            rung.unlink()
