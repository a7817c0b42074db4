"""The second start of a study: what is kept, what is refused, what is added."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from command_line import SPACE, run, states, table, without_costs
from sweep.study.study import Study


def test_second_start_trains_nothing_and_ends_the_same(
    copied_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    before = (copied_study / "table.csv").read_text(encoding="utf-8")
    stamps = {p: p.stat().st_mtime_ns for p in copied_study.glob("runs/*/run.json")}
    code, out, _ = run(*study_arguments, capfd=capfd)
    assert code == 0
    assert out.count("done before") == len(stamps) == 8
    assert "planned  the time of a run was off by" in out
    assert (copied_study / "table.csv").read_text(encoding="utf-8") == before
    assert {p: p.stat().st_mtime_ns for p in copied_study.glob("runs/*/run.json")} == stamps


def test_a_damaged_record_is_trained_again_although_its_trial_is_told(
    copied_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    before = table(copied_study).set_index(["config_id", "seed"])["pearson"]
    torn, gone = sorted(copied_study.glob("runs/*/run.json"))[:2]
    torn.write_bytes(torn.read_bytes()[:200])
    gone.unlink()
    code, out, _ = run(*study_arguments, capfd=capfd)
    assert code == 0
    assert out.count("done before") == len(before) - 2
    after = table(copied_study)
    assert after["state"].tolist() == ["complete"] * len(before)
    again = after.set_index(["config_id", "seed"])["pearson"]
    assert again.to_dict() == pytest.approx(before.to_dict(), abs=1e-6)


def test_changed_setting_is_refused_and_extend_adds_the_new_cells(
    copied_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(*study_arguments, "trainer.learning_rate=1e-3", capfd=capfd)
    assert code == 2
    for part in ("trainer.learning_rate", "0.005", "0.001", "resume=restart"):
        assert part in err
    grown = "search.space={lora.r:[2,4,8],lora.target_modules:[qv,all-linear]}"
    study_arguments[-1] = grown
    assert run(*study_arguments, capfd=capfd)[0] == 2
    code, out, _ = run(*study_arguments, "resume=extend", capfd=capfd)
    assert code == 0
    assert out.count("done before") == 8
    assert table(copied_study)["state"].tolist() == ["complete"] * 12
    assert "This is look 2 at this study" in out
    first, second = Study.open(copied_study).looks.looks
    assert (first.runs, second.runs) == (8, 12)
    assert Study.open(copied_study).verdict is not None
    assert run(*study_arguments, capfd=capfd)[0] == 0
    assert len(Study.open(copied_study).looks.looks) == 2


@pytest.mark.trains
def test_changed_data_under_the_same_name_is_noticed(
    home: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    copy = home / "dev.csv"
    shutil.copy(pair_files["dev"], copy)
    arguments = [*arguments, f"data.dev={copy}", "search.space={lora.r:[2]}"]
    assert run(*arguments, capfd=capfd)[0] == 0
    frame = pd.read_csv(copy)
    frame.loc[0, "score"] = 0.0 if frame.loc[0, "score"] else 5.0
    frame.to_csv(copy, index=False)
    code, _, err = run(*arguments, capfd=capfd)
    assert code == 2
    assert f"the dev pairs of {copy} were changed: as many" in err


def test_damaged_grid_is_a_mistake_whose_way_out_trains_nothing_again(
    copied_study: Path, study_arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    damage_and_mend(copied_study, study_arguments, capfd)


@pytest.mark.trains
def test_damaged_search_is_a_mistake_whose_way_out_trains_nothing_again(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments += ["search.sampler=tpe", "search.n_trials=3"]
    assert run(*arguments, capfd=capfd)[0] == 0
    damage_and_mend(home / "results" / "작은_실험", arguments, capfd)


def damage_and_mend(study: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    before = without_costs(table(study))
    trained = {p: p.stat().st_mtime_ns for p in study.glob("runs/*/predictions.npy")}
    database = study / "study.db"
    content = database.read_bytes()
    for damaged in (b"no database", content[:3000], content[: len(content) // 2]):
        database.write_bytes(damaged)
        code, _, err = run(*arguments, capfd=capfd)
        assert code == 2
        assert "study.db" in err
        assert "Traceback" not in err
        assert database.read_bytes() == damaged
    database.rename(study / "study.db.damaged")
    assert run(*arguments, capfd=capfd)[0] == 0
    assert trained == {p: p.stat().st_mtime_ns for p in study.glob("runs/*/predictions.npy")}
    pd.testing.assert_frame_equal(without_costs(table(study)), before)


@pytest.mark.trains
def test_time_limit_saves_what_is_under_way_and_a_larger_one_goes_on(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    study = home / "results" / "작은_실험"
    assert run(*arguments, "search.timeout_min=1e-9", capfd=capfd)[0] == 4
    assert not states(study)
    smaller = "search.space={lora.r:[2],lora.target_modules:[qv]}"
    assert run(*arguments, smaller, "resume=extend", capfd=capfd)[0] == 0
    again = [*arguments, "resume=extend"]
    code, out, _ = run(*again, "search.timeout_min=1e-9", capfd=capfd)
    assert code == 0
    assert "The time limit of 1e-09 min is over" in out
    assert "1 of 4 runs are done" in out
    code, out, _ = run(*again, "search.timeout_min=10", capfd=capfd)
    assert code == 0
    assert "time limit" not in out
    assert table(study)["state"].tolist() == ["complete"] * 4


@pytest.mark.trains
def test_config_added_to_a_stopped_study_is_trained_at_its_next_start(
    home: Path, arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    arguments.remove(SPACE)
    arguments += ["search=random", "search.n_trials=1"]
    arguments += ["search.space={lora.r:{low:1,high:8},lora.target_modules:[qv,mlp]}"]
    study = "results/작은_실험"
    assert run("add", study, "lora.r=3", capfd=capfd)[0] == 2
    assert run(*arguments, capfd=capfd)[0] == 0
    code, _, err = run("add", study, "lora.target_modules=all-linear", capfd=capfd)
    assert code == 2
    assert "one of: qv, mlp" in err
    for wrong in ("lora.r", "lora.r=[", "lora.r=[1, 2]", "lora.r={a: 1}", "lora.r=", "lora.r=a"):
        assert run("add", study, wrong, "lora.target_modules=qv", capfd=capfd)[0] == 2, wrong
    code, out, _ = run("add", study, "lora.r=3", "lora.target_modules=mlp", capfd=capfd)
    assert code == 0
    assert "lora.r=3 lora.target_modules=mlp is the first at the next start" in " ".join(
        out.split()
    )
    assert "added  1 config" in run("status", study, capfd=capfd)[1]
    assert run(*arguments, capfd=capfd)[0] == 0
    rows = table(Path(study))
    assert rows["state"].tolist() == ["complete"] * 2
    assert rows.loc[1, ["lora.r", "lora.target_modules"]].tolist() == [3, "mlp"]
