"""Workers that share a disk with the driver and nothing else: they come, go, freeze and die."""

from __future__ import annotations

import errno
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executors import ThreadStaff, drain, folder_with, outcomes, run_of
from hands import Inline, InThread, Trainings, threads_for, train_until_it_is_to_pause
from sweep.execute.folder import outbox, post
from sweep.execute.folder.executor import Folder
from sweep.execute.folder.messages import Told, Took, from_line, to_line
from sweep.execute.folder.pulse import Pulse
from sweep.loop.trial import Event, Finished, Paused, Progress, PutBack, RunState
from sweep.study.exchange import ExchangeFiles, read_crew
from sweep.study.files import StudyFiles
from trainings import scored

RANKS = range(4, 12)


@pytest.fixture
def trainings() -> Trainings:
    return Trainings()


def staff_for(
    folder: Path, train: Any, kind: Any = InThread, *, most: int = 2, hired: bool = True
) -> ThreadStaff:
    staff = ThreadStaff(folder, threads_for(train, kind), most=most)
    if hired:
        staff.look_after(wanted=most)
    return staff


@pytest.fixture
def closing() -> Iterator[Callable[[Folder], Folder]]:
    opened: list[Folder] = []

    def close_later(executor: Folder) -> Folder:
        opened.append(executor)
        return executor

    yield close_later
    for executor in opened:
        executor.close()


def all_of(executor: Folder) -> dict[int, float | None]:
    runs = {r: run_of(r) for r in RANKS}
    for run in runs.values():
        executor.submit((run,))
    found = outcomes(drain(executor))
    return {r: found[run.id].score for r, run in runs.items()}


EXPECTED = {r: r / 100 for r in RANKS}


@pytest.mark.long
def test_worker_that_froze_finds_its_pack_given_away(
    tmp_path: Path, trainings: Trainings, closing: Callable[[Folder], Folder]
) -> None:
    run = run_of(8)
    trainings.freeze = {run.id}
    staff = staff_for(tmp_path, trainings, Inline)
    executor = closing(folder_with(staff, tmp_path, lost_after_s=1.0))
    executor.submit((run,))
    events = drain(executor)
    trainings.let_go.set()
    put_back = [e for e in events if isinstance(e, PutBack)]
    assert [e.died for e in put_back] == [True]
    assert "no sign of life for 1 s" in put_back[0].cause
    while len(trainings.trained) < 2:
        time.sleep(0.01)
    # It comes back, says its score, and takes up other work under another name.
    executor.submit((run_of(16),))
    later = drain(executor)
    assert [e.run_id for e in later if isinstance(e, Finished)] == [run_of(16).id]
    assert outcomes(events)[run.id].score == 0.08
    weights = tmp_path / "runs" / run.id / "adapter" / "weights"
    assert weights.read_text() == "fresh"


@pytest.mark.long
def test_workers_that_come_early_and_late_are_welcome(
    tmp_path: Path, trainings: Trainings, closing: Callable[[Folder], Folder]
) -> None:
    early = staff_for(tmp_path, trainings, most=1)
    time.sleep(0.1)
    executor = closing(folder_with(early, tmp_path, workers=1))
    executor.submit((run_of(8),))
    assert outcomes(drain(executor))[run_of(8).id].score == 0.08
    late = staff_for(tmp_path, trainings, most=2)
    seen = 0
    while seen < 3:
        executor.work(lambda _: None)
        crew = read_crew(StudyFiles(tmp_path).exchange)
        seen = len(crew.members) if crew else 0
    assert executor.num_free == 3
    assert all_of(executor) == EXPECTED
    late.send_home()


@pytest.mark.long
def test_runs_of_a_worker_that_leaves_go_on_where_they_were(
    tmp_path: Path, closing: Callable[[Folder], Folder]
) -> None:
    leaving = staff_for(tmp_path, train_until_it_is_to_pause, most=1, hired=False)
    executor = closing(folder_with(None, tmp_path))
    leaving.look_after(wanted=1)
    pack = (run_of(8), run_of(16))
    executor.submit(pack)
    events: list[Event] = []
    while not any(isinstance(e, Progress) for e in events):
        executor.work(events.append)
    leaving.leave.set()
    while not any(isinstance(e, PutBack) for e in events):
        executor.work(events.append)
    staying = staff_for(tmp_path, train_until_it_is_to_pause, most=1)
    events += drain(executor)
    staying.send_home()
    scores = {i: o.score for i, o in outcomes(events).items()}
    assert scores == {run.id: 0.5 for run in pack}
    assert [e.died for e in events if isinstance(e, PutBack)] == [False, False]
    # The loop would take it for one that waits at a rung.
    assert not any(isinstance(e, Paused) for e in events)
    assert not list((tmp_path / "runs").glob("*/rung.pt"))


def test_pause_brings_rungs_home_and_nothing_is_taken_up_after_it(
    tmp_path: Path, closing: Callable[[Folder], Folder]
) -> None:
    staff = ThreadStaff(tmp_path, threads_for(train_until_it_is_to_pause, InThread), most=1)
    executor = closing(folder_with(staff, tmp_path, workers=1))
    first, second = run_of(8), run_of(16)
    executor.submit((first,))
    events: list[Event] = []
    while not any(isinstance(e, Progress) for e in events):
        executor.work(events.append)
    executor.submit((second,))
    executor.pause()
    events += drain(executor)
    assert [e.run_id for e in events if isinstance(e, Paused)] == [first.id]
    assert [p.parent.name for p in (tmp_path / "runs").glob("*/rung.pt")] == [first.id]


def test_what_ended_while_no_driver_was_there_is_not_trained_again(
    tmp_path: Path, trainings: Trainings, closing: Callable[[Folder], Folder]
) -> None:
    staff = staff_for(tmp_path, trainings, hired=False)
    killed = folder_with(staff, tmp_path)
    for r in RANKS:
        killed.submit((run_of(r),))
    staff.look_after(wanted=2)
    while len(trainings.trained) < len(RANKS) - 2:
        time.sleep(0.01)
    # Its successor. The workers find the first one's folder gone, and serve the second.
    before = set(trainings.trained)
    executor = closing(folder_with(staff, tmp_path))
    assert all_of(executor) == EXPECTED
    killed._session._is_over.set()
    assert len(before) >= len(RANKS) - 2
    assert len(trainings.trained) <= len(RANKS) + 2
    for r in RANKS:
        assert (tmp_path / "runs" / run_of(r).id / "adapter" / "weights").is_file()


@pytest.mark.long
def test_worker_saves_its_runs_where_the_driver_is_silent(
    tmp_path: Path, closing: Callable[[Folder], Folder]
) -> None:
    killed = folder_with(None, tmp_path, lost_after_s=1.0)
    killed._session._is_over.set()
    run = run_of(8)
    killed.submit((run,))
    staff = staff_for(tmp_path, train_until_it_is_to_pause, most=1)
    said = ExchangeFiles(StudyFiles(tmp_path).exchange).of(killed.terms.session).workers
    while not any("is silent" in path.read_text() for path in said.glob("*")):
        time.sleep(0.02)
    executor = closing(folder_with(staff, tmp_path))
    executor.submit((run,))
    assert outcomes(drain(executor))[run.id].score == 0.5


@pytest.mark.long
def test_wrong_clocks_change_nothing(
    tmp_path: Path,
    trainings: Trainings,
    closing: Callable[[Folder], Folder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every look at the time of day is off by up to a day, forward or back."""
    drawn = random.Random(0)
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + drawn.uniform(-86400, 86400))
    staff = ThreadStaff(tmp_path, threads_for(trainings))
    executor = closing(folder_with(staff, tmp_path, lost_after_s=5.0))
    assert all_of(executor) == EXPECTED
    assert len(trainings.trained) == len(RANKS)


@pytest.mark.long
def test_old_listings_change_nothing(
    tmp_path: Path,
    trainings: Trainings,
    closing: Callable[[Folder], Folder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lies in a folder is seen up to a third of a second late, in both directions."""
    old: dict[Path, tuple[float, list[Path]]] = {}
    listing = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder not in old or time.monotonic() - old[folder][0] > 0.3:
            old[folder] = time.monotonic(), list(listing(folder))
        return iter(old[folder][1])

    monkeypatch.setattr(Path, "iterdir", iterdir)
    staff = ThreadStaff(tmp_path, threads_for(trainings))
    executor = closing(folder_with(staff, tmp_path))
    assert all_of(executor) == EXPECTED
    assert len(trainings.trained) == len(RANKS)


@pytest.mark.long
def test_slow_disk_that_shows_files_late_changes_nothing(
    tmp_path: Path,
    trainings: Trainings,
    closing: Callable[[Folder], Folder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[Path, int] = {}
    stat, opening = Path.stat, Path.open

    def late(path: Path, **options: bool) -> Any:
        if path.name == "adapter" and "work" in path.parts:
            asked[path] = asked.get(path, 0) + 1
            if asked[path] < 4:
                raise FileNotFoundError(errno.ENOENT, "not seen yet", str(path))
        return stat(path, **options)

    def slowly(path: Path, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.01)
        return opening(path, *arguments, **options)

    monkeypatch.setattr(Path, "stat", late)
    monkeypatch.setattr(Path, "open", slowly)
    staff = ThreadStaff(tmp_path, threads_for(trainings))
    executor = closing(folder_with(staff, tmp_path))
    assert all_of(executor) == EXPECTED
    assert len(trainings.trained) == len(RANKS)
    assert max(asked.values()) >= 4


@pytest.mark.long
def test_full_disk_loses_and_doubles_no_message(
    tmp_path: Path,
    trainings: Trainings,
    closing: Callable[[Folder], Folder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every other message is cut somewhere, and written again when there is room."""
    drawn, whole, lock = random.Random(0), outbox.append, threading.Lock()

    def cut(path: Path, text: str) -> None:
        with lock:
            length = drawn.randint(0, len(text)) if drawn.random() < 0.5 else None
        whole(path, text[:length])
        if length is not None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outbox, "append", cut)
    staff = ThreadStaff(tmp_path, threads_for(trainings))
    executor = closing(folder_with(staff, tmp_path, lost_after_s=2.0))
    assert all_of(executor) == EXPECTED


@pytest.mark.long
def test_pack_that_was_taken_without_a_word_comes_back(
    tmp_path: Path,
    trainings: Trainings,
    closing: Callable[[Folder], Folder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker dies between the claim and its first word about it."""
    claimed: list[Path] = []

    def take_and_die(source: Path, target: Path) -> bool:
        if not taken(source, target):
            return False
        if not claimed:
            claimed.append(target)
            raise outbox.NobodyReads
        return True

    taken = post.take
    monkeypatch.setattr(post, "take", take_and_die)
    staff = ThreadStaff(tmp_path, threads_for(trainings))
    executor = closing(folder_with(staff, tmp_path, lost_after_s=1.0))
    assert all_of(executor) == EXPECTED
    assert len(trainings.trained) == len(RANKS)


def test_driver_that_was_away_itself_loses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that was shut, a process that was stopped: everybody seems silent for hours."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pulse = Pulse(60)
    assert pulse.beats("a")
    clock[0] += 7200
    assert pulse.beats("a")
    for _ in range(44):
        clock[0] += 1
        assert pulse.beats("a")
    clock[0] += 2
    assert not pulse.beats("a")


@pytest.mark.parametrize(
    "line",
    [
        *("", "{", "[]", '{"n": 1}', '{"n": 1, "is": "Took"}', '{"n": "x", "is": "Beat"}'),
        '{"n": 1, "is": "Told", "of": "PutBack", "event": {}, "left": []}',
        '{"n": 1, "is": "Told", "of": "Finished", "event": {"run_id": "a"}, "left": []}',
    ],
)
def test_line_that_says_nothing_is_passed_over(line: str) -> None:
    assert from_line(line) is None


def test_messages_are_the_same_after_their_way_through_a_file() -> None:
    end = scored(run_of(8))
    assert from_line(to_line(Told(end, ("adapter",)), 7)) == (7, Told(end, ("adapter",)))


def test_names_in_messages_lead_nowhere_else(
    tmp_path: Path, closing: Callable[[Folder], Folder]
) -> None:
    executor = closing(folder_with(None, tmp_path))
    mine, other = run_of(8), run_of(16)
    executor.submit((mine,))
    files = ExchangeFiles(StudyFiles(tmp_path).exchange).of(executor.terms.session)
    (name,) = files.packs.iterdir()
    name.rename(files.claim(name.stem, "w"))
    (tmp_path / "secret").write_text("mine")
    work = files.runs("w") / mine.id
    work.mkdir(parents=True)
    (work / "adapter").symlink_to(tmp_path)
    told = [Told(scored(other)), Told(scored(mine), ("../../secret", "adapter", ".hidden"))]
    lines = [to_line(m, n) for n, m in enumerate([Took(name.stem), *told], start=1)]
    files.messages("w").write_text("".join(lines))
    found = outcomes(drain(executor))
    assert {i: o.state for i, o in found.items()} == {mine.id: RunState.COMPLETE}
    assert (tmp_path / "secret").read_text() == "mine"
    assert not list((tmp_path / "runs" / mine.id).iterdir())
