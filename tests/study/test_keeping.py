"""Which adapters a study keeps, and that letting go of the others loses nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from studies import GRID, KEYS, VERSIONS, study
from sweep.core.errors import ConfigError
from sweep.core.recipe import Recipe
from sweep.loop.trial import RunState
from sweep.study.files import StudyFiles
from sweep.study.keeping import Keep
from sweep.study.tables import Results


def with_adapters(folder: Path, *, prunes: Sequence[int] = ()) -> list[str]:
    """A study of eight configs whose runs have adapters; ids of its runs, best first."""
    study(folder, failures=dict.fromkeys(prunes, "NaN"))
    results = Results(folder, searched_keys=KEYS, versions=VERSIONS)
    for record in results.records():
        files = results.files.run(record.run.id)
        files.adapter.mkdir(parents=True)
        for path in files.adapter_files:
            path.write_text("weights")
    return [f"{row.config_id}-s0" for row in results.configs()]


def opened(folder: Path, keep: str, baseline: str | None = None) -> Results:
    return Results(
        folder, searched_keys=KEYS, versions=VERSIONS, baseline=baseline, keep=Keep.of(keep)
    )


def kept(folder: Path) -> set[str]:
    files = StudyFiles(folder)
    return {path.name for path in files.runs.iterdir() if files.run(path.name).has_adapter}


def test_the_best_configs_keep_their_adapters_with_baseline_and_recommended(tmp_path: Path) -> None:
    ranked = with_adapters(tmp_path / "study", prunes=[3])
    failed = Recipe().with_values(GRID[3]).run_id
    results = opened(tmp_path / "study", "top:2", baseline=ranked[-1].removesuffix("-s0"))
    verdict = results.verdict()
    assert verdict is not None
    results.write_tables()
    wanted = {*ranked[:2], ranked[-1], f"{verdict.recommended}-s0"}
    assert kept(tmp_path / "study") == wanted
    assert failed not in wanted
    # What is known of the others stays.
    again = opened(tmp_path / "study", "top:2")
    assert len(again.finished()) == 7
    assert all((again.files.run(run_id).predictions).is_file() for run_id in ranked)


def test_all_keeps_all(tmp_path: Path) -> None:
    ranked = with_adapters(tmp_path / "study")
    opened(tmp_path / "study", "all").write_tables()
    assert kept(tmp_path / "study") == set(ranked)


def test_files_of_others_stay(tmp_path: Path) -> None:
    ranked = with_adapters(tmp_path / "study")
    noted, moved = (StudyFiles(tmp_path / "study").run(run_id) for run_id in ranked[-2:])
    (noted.adapter / "notes.txt").write_text("mine")
    moved.adapter.rename(tmp_path / "elsewhere")
    moved.adapter.symlink_to(tmp_path / "elsewhere")
    opened(tmp_path / "study", "best").write_tables()
    assert [path.name for path in noted.adapter.iterdir()] == ["notes.txt"]
    assert moved.has_adapter


def test_a_kill_in_the_middle_of_letting_go_loses_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked = with_adapters(tmp_path / "study")
    unlink, calls = Path.unlink, iter(range(100))

    def killed(path: Path, missing_ok: bool = False) -> None:
        if "adapter" in path.name and next(calls) == 3:
            raise SystemExit
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(SystemExit):
        opened(tmp_path / "study", "best").write_tables()
    monkeypatch.undo()
    results = opened(tmp_path / "study", "best")
    assert {record.state for record in results.records()} == {RunState.COMPLETE}
    results.write_tables()
    verdict = results.verdict()
    assert verdict is not None
    assert kept(tmp_path / "study") == {ranked[0], f"{verdict.recommended}-s0"}


@pytest.mark.parametrize("text", ["top", "top:0", "top:-1", "top: 3", "none", ""])
def test_what_is_no_number_of_adapters_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"executor\.keep_adapters"):
        Keep.of(text)
