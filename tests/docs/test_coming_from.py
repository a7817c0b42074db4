"""What people typed elsewhere: the right column composes, and is what the program answers."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pages import ROOT, blocks, codes, tables, text_of
from sweep.commands.arguments import make_parser
from sweep.commands.cli import run_command
from sweep.config.compose import load_settings
from sweep.core.errors import ConfigError

PAGE = ROOT / "docs" / "coming_from.md"
ROWS = [row for table in tables(text_of("docs/coming_from.md")) for row in table[1:]]
OWN = "python -m sweep "
SCRIPT = "python train.py "
ANSWERS = [
    (codes(typed)[0], codes(instead)[0])
    for typed, instead in ROWS
    if typed.startswith(f"`{SCRIPT}")
]


def words_of(command: str) -> list[str]:
    assert command.startswith(OWN)
    return shlex.split(command.removeprefix(OWN))


@pytest.mark.long
@pytest.mark.parametrize(
    "command", sorted({code for _, cell in ROWS for code in codes(cell) if OWN in f"{code} "})
)
def test_right_column_is_what_the_program_takes(command: str) -> None:
    words = words_of(command)
    if words[0] in ("export", "wandb"):
        assert make_parser().parse_args(words).verb == words[0]
    else:
        assert load_settings([word for word in words if word != "--cfg"])[0].name


@pytest.mark.parametrize(("typed", "instead"), ANSWERS)
def test_left_column_is_answered_with_the_right_one(
    typed: str, instead: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(typed.removeprefix(SCRIPT))
    if words == ["experiment=lora_grid"]:
        assert load_settings(words)[0] == load_settings([f"+{words[0]}"])[0]
        return
    assert run_command(words) == 2
    _, _, way_out = capfd.readouterr().err.partition("way out: ")
    assert way_out.splitlines()[0] == instead


@pytest.mark.long
def test_sweep_of_wandb_is_answered_with_its_row_and_the_file_below(tmp_path: Path) -> None:
    theirs, ours = blocks(PAGE, "yaml")
    path = tmp_path / "sweep.yaml"
    path.write_text(theirs, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings([f"+experiment={path}"])
    row = next(row for row in ROWS if row[0].startswith("`wandb sweep"))
    assert caught.value.way_out == codes(row[1])[0]
    path.write_text(ours, encoding="utf-8")
    here = load_settings([f"+experiment={path}"])[0]
    assert here == load_settings(words_of(codes(row[1])[0]))[0]
