"""Mistakes on the command line, and its help."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from command_line import run
from sweep.commands.cli import run_command


def test_place_that_can_not_be_written_to_is_a_mistake_that_names_it(
    home: Path, copied_study: Path, arguments: list[str], pair_files: dict[str, Path],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (home / "파일").write_text("a file, no folder")
    for override in ("results_dir=파일", "results_dir=파일/안", f"name={'가' * 300}"):
        code, _, err = run(*arguments, override, capfd=capfd)
        assert code == 2
        assert "can be written" in err
        assert "Traceback" not in err
    pairs = [str(copied_study / "best"), str(pair_files["dev"])]
    code, _, err = run("predict", *pairs, "--out", "파일/점수.csv", capfd=capfd)
    assert code == 1
    assert "파일" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.space={lora.target_modules:[qv,[query,valeu]]}", "valeu"),
        ("search.space={lora.lora_alpha:[8]} lora.r=64", "64"),
        ("search.space={lora.r:[2,64]}", "64"),
        ("data.text_a=문장", "sentence1, sentence2, score"),
        ("data.label=sentence1", "data row 1"),
        ("data.dev=none.csv", "must exist"),
        ("model.path=no/such-model", "must be a local folder"),
        ("model.path=.", "config.json"),
        ("tracking.mode=online", "key"),
    ],
)
def test_mistake_ends_with_code_2_before_anything_is_made(
    home: Path, arguments: list[str], override: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(*arguments, *override.split(), capfd=capfd)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert len(err.splitlines()) < 12
    assert not (home / "results").exists()


def test_help_lists_the_verbs_and_a_wrong_flag_is_a_mistake(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        run_command(["--help"])
    out, _ = capfd.readouterr()
    assert left.value.code == 0
    for verb in ("export", "predict", "verify", "report"):
        assert verb in out
    with pytest.raises(SystemExit) as left:
        run_command(["--no-such-flag"])
    assert left.value.code == 2


def test_cfg_prints_what_would_be_used(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("--cfg", "+experiment=lora_grid", "lora.r=5", capfd=capfd)
    assert code == 0
    assert yaml.safe_load(out)["lora"]["r"] == 5
    assert not (home / "results").exists()
