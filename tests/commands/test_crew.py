"""What `status` says of workers on other machines."""

from __future__ import annotations

from pathlib import Path

from sweep.commands.live import crew_lines
from sweep.study.exchange import Crew, CrewMember, write_crew
from sweep.study.files import StudyFiles

SINCE = "2026-11-30T12:00:00+00:00"


def test_status_names_workers_machines_and_jobs(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path)
    assert crew_lines(files) == []
    busy = CrewMember("n1-7-abc", "n1", SINCE, "12_0", ("a-s0", "b-s0"))
    idle = CrewMember("home-8-def", "home", SINCE)
    jobs = "1 running on n1; 1 pending (Resources)"
    write_crew(files.exchange, Crew((busy, idle), 3, jobs))
    assert crew_lines(files) == [
        "jobs   1 running on n1; 1 pending (Resources)",
        "packs  3 waiting for a worker",
        f"worker n1-7-abc on n1, job 12_0: trains a-s0, b-s0 since {SINCE}",
        f"worker home-8-def on home: waits since {SINCE}",
    ]


def test_damaged_list_of_workers_is_passed_over(tmp_path: Path) -> None:
    files = StudyFiles(tmp_path)
    files.exchange.mkdir()
    (files.exchange / "crew.json").write_text("{")
    assert crew_lines(files) == []
