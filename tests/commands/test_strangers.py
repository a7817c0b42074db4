"""A folder, a model card, a table, a terminal with what strangers have written: nothing is run."""

from __future__ import annotations

import ast
import csv
import os
import pickle
import re
import sqlite3
import stat
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import finished
from recorded import run_of
from studies import GRID, study
from sweep.commands.cli import run_command
from sweep.config.compose import load_settings
from sweep.config.texts import check_texts
from sweep.core.errors import ConfigError, StudyError
from sweep.core.own_metrics import VARIABLE, is_trusted
from sweep.core.recipe import Data, Model, Recipe
from sweep.execute.boundary import Boundary
from sweep.execute.worker import print_to
from sweep.export.model_card import model_card
from sweep.loop.trial import Outcome, Run, RunState
from sweep.search.study_db import database_trouble_told, open_study
from sweep.space.space import parse_space
from sweep.stats.metrics import function_of
from sweep.study.files import StudyFiles
from sweep.train.checkpoints import read_checkpoint
from sweep.watch.report import build_report

pytestmark = pytest.mark.long

FORMULA = "=HYPERLINK(0)"
#: Colours, a link, the sign that ends a line of a terminal's title, and another order of signs.
COMMANDS = "\x1b[31mred\x1b]8;;http://x.invalid\x07link\x9b2J\u202egnp.exe"


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def said(capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = run_command(argv)
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return code, out + err


# -- what is shown -------------------------------------------------------------------------------


def test_terminal_obeys_nothing_that_a_study_or_a_path_says(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = {**GRID[0], "lora.target_modules": (COMMANDS, "v")}
    folder = home / f"s{COMMANDS[:8]}"
    study(folder, [odd, *GRID[1:3]], name=f"n{COMMANDS}", failures={2: COMMANDS})
    (folder / ".driver").write_text(COMMANDS)
    with (folder / "verdict.json").open("r+", encoding="utf-8") as file:
        text = file.read().replace("is best", "\\u001b]0;is best")
        file.seek(0)
        file.write(text)
    for verb in ("status", "verdict", "report", "export"):
        _, text = said(capfd, verb, str(folder))
        assert "\\x1b[31m" in text or verb == "verdict"
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*text}
    _, text = said(capfd, "compare", str(folder), str(folder / COMMANDS.replace("/", "")))
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*text}


def test_no_cell_of_a_table_is_a_formula_and_other_tables_are_as_they_were(tmp_path: Path) -> None:
    plain = study(tmp_path / "plain", GRID[:2], failures={1: "NaN -0.5"})
    assert (tmp_path / "plain" / "table.csv").read_text("utf-8") == plain.table().to_csv(
        index=False
    )
    odd = {**GRID[0], "lora.target_modules": (FORMULA, "v")}
    results = study(tmp_path / "s", [odd, *GRID[1:3]], failures={2: f"@{FORMULA}"})
    for name in ("table.csv", "leaderboard.csv"):
        with (tmp_path / "s" / name).open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert any(FORMULA in cell for cell in cells)
        assert not [cell for cell in cells if cell[:1] in {*"=@\t\r"}]
    assert pd.read_csv(tmp_path / "s" / "table.csv")["pearson"].tolist()[0] > 0
    assert f"'@{FORMULA}" in (tmp_path / "s" / "table.csv").read_text("utf-8")
    assert results.table()["reason"].tolist()[2] == f"@{FORMULA}"


def test_card_holds_no_tag_no_link_and_no_code_of_others() -> None:
    evil = '<img src=x onerror=y> [here](http://x.invalid) | `x` \u202e"); import os; os.abort("'
    recipe = Recipe(
        model=Model(path=f"a\n{evil}"),
        data=Data(source="hub", path=evil, name=evil, classes=(evil, "```\nb")),
    )
    run = Run(0, {}, recipe)
    done = Outcome(RunState.COMPLETE, score=0.5, beside=0.5, best_step=1, lora_params=1)
    card = model_card(
        run,
        replace(done, head_params=1),
        study=f"---\n{evil}",
        versions={"torch": evil},
        notes=[f"one\n# two {evil}"],
        effects=[evil],
        guard=[evil],
        fingerprints={"train": evil},
        warnings=[evil],
    )
    front, _, rest = card.removeprefix("---\n").partition("\n---\n")
    assert {"model-index", "tags"} <= yaml.safe_load(front).keys()
    text, _, code = rest.partition("```python\n")
    code, _, below = code.partition("\n```\n")
    shown = re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", text + below)
    assert not [mark for mark in ("<img", "](", "\u202e", "\n# two", "\n---") if mark in shown]
    assert "&lt;img" in shown
    imported = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import)]
    assert [name.name for node in imported for name in node.names] == ["torch"]


def test_keys_and_passwords_are_in_no_message_and_no_record(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "not-a-word-4711")
    code, text = said(capfd, "status", "no/not-a-word-4711/x")
    assert code == 2
    assert "no/***/x" in text

    def train(*_: object) -> None:
        raise ValueError("401 of https://me:pass@host.invalid for not-a-word-4711")

    events: list[object] = []
    Boundary(train, runs_dir=home, worker="w").attempt((run_of(0, 4),), events.append)
    assert "https://***@host.invalid for ***" in str(events[-1])
    assert "not-a-word" not in str(events)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("data.path=${oc.env:HF_TOKEN}", "data.path"),
        ("tracking.project=x-not-a-word-4711", "tracking.project"),
        ("data.path=https://me:pass@host.invalid/data", "data.path"),
        ("search.space={a:{b: {model.path: hf_aaaaaaaaaaaaaaaaaaaaaaaa}}}", "search.space"),
    ],
)
def test_setting_with_a_secret_is_refused_and_not_shown(
    override: str, key: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "not-a-word-4711")
    code, text = said(capfd, override)
    assert code == 2
    assert key in text
    assert not [word for word in ("not-a-word", "pass@", "hf_aaaa") if word in text]


# -- where things lie ----------------------------------------------------------------------------


def test_name_stays_below_its_folder_on_every_system() -> None:
    settings, _ = load_settings(["name=team/one.two"])
    bad = ["../x", "/x", "a/../b", ".", "a//b", "a\\..\\b", "C:x", "CON", "x/nul.txt", "com1", "a."]
    for name in [*bad, "a ", "a\nb", "a\u202eb", "a\x1bb", "a?", ""]:
        with pytest.raises(ConfigError, match="`name`"):
            check_texts(replace(settings, name=name))
    with pytest.raises(ConfigError, match="results_dir"):
        check_texts(replace(settings, results_dir="a\nb"))
    for name in ("작은 실험", "a.b-c_d", "console", "x@y"):
        check_texts(replace(settings, name=name))


def test_ids_of_a_changed_table_lead_nowhere_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study(home / "s", GRID[:2], unfinished=[0])
    table = home / "s" / "table.csv"
    rows = pd.read_csv(table)
    rows.loc[rows["state"] == "running", "config_id"] = "../../x"
    rows.to_csv(table, index=False)
    monkeypatch.setattr("sweep.commands.live.is_driven", lambda folder: True)
    code, text = said(capfd, "stop", "s", "--run", "../../x")
    assert code == 2
    assert "../../x-s0" in text
    assert not (home / "x-s0").exists()
    for name in ("", ".", "..", "a/b", "a\\b", "C:x", "a\nb"):
        with pytest.raises(StudyError):
            StudyFiles(home).run(name)


def test_files_of_a_study_follow_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for mask in (0o077, 0o002):
        before = os.umask(mask)
        try:
            folder = tmp_path / oct(mask)
            finished.make(folder, {2: 0.5, 8: 0.1}, model="some/model")
            monkeypatch.setattr("sweep.execute.worker.print_into", lambda descriptor: None)
            print_to(folder / "logs" / "cpu0.log")
            build_report(folder)
            open_study(folder / "study.db", "s", SPACE, [0])
        finally:
            os.umask(before)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
        # SQLite itself never lets a group write.
        assert modes <= {0o666 & ~mask, 0o644 & ~mask}


# -- what is never run ---------------------------------------------------------------------------

SPACE = parse_space({"lora.r": [2, 8]}, valid_keys=["lora.r"])


def test_nothing_of_a_strangers_study_is_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pickles in place of numbers, a metric of its own with its code beside it, a `conf`, links."""
    monkeypatch.syspath_prepend(str(home))
    folder, ran = home / "results" / "s", home / "ran"
    study(folder, GRID)
    touch = f"from pathlib import Path\nPath({str(ran)!r}).touch()\nf = lambda *a: 1.0\n"
    for place in (folder / "own.py", folder / "__init__.py", folder / "conf" / "sitecustomize.py"):
        place.parent.mkdir(exist_ok=True)
        place.write_text(touch)
    run_dirs = sorted((folder / "runs").iterdir())
    np.save(run_dirs[0] / "predictions.npy", np.array([Trap(ran)]), allow_pickle=True)
    (run_dirs[1] / "predictions.npy").write_bytes(pickle.dumps(Trap(ran)))
    for name in ("dev_labels.npy", "study.db", "verdict.json", "plan.json", "wandb.json"):
        (folder / name).write_bytes(pickle.dumps(Trap(ran)))
    victim = home / "victim"
    victim.write_text("mine")
    (folder / ".lock").symlink_to(victim)
    code, text = said(capfd, "status", str(folder))
    assert (code, "never a link" in text) == (2, True)
    (folder / ".lock").unlink()
    for verb in ("status", "verdict", "report", "export", "wandb"):
        said(capfd, verb, str(folder))
    said(capfd, "compare", str(folder), str(folder))
    for path in [folder / "config.yaml", *folder.glob("runs/*/run.json")]:
        text = path.read_text("utf-8")
        text = text.replace("metric: pearson", "metric: results.s.own:f")
        path.write_text(text.replace('"metric": "pearson"', '"metric": "results.s.own:f"'), "utf-8")
    np.save(folder / "dev_labels.npy", np.arange(120.0))
    for verb in ("status", "verdict", "report", "export"):
        said(capfd, verb, str(folder))
    code, text = said(capfd, "compare", str(folder), str(folder))
    assert code == 2
    assert not ran.exists()
    assert victim.read_text() == "mine"
    assert "results.s.own" not in sys.modules


def test_metric_is_called_once_its_name_was_given_on_a_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    own = f"{__name__}:anything"
    assert not is_trusted(own)
    with pytest.raises(ConfigError, match="named it yourself"):
        function_of(own)
    load_settings([f"task.metric={own}", "task=regression"])
    monkeypatch.delenv(VARIABLE)
    assert is_trusted(own)


def test_rung_that_is_a_pickle_is_not_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for save in (
        lambda path: path.write_bytes(pickle.dumps(Trap(tmp_path / "ran"))),
        lambda path: torch.save({"weights": Trap(tmp_path / "ran")}, path),
        lambda path: torch.save(["no", "mapping"], path),
    ):
        save(tmp_path / "rung.pt")
        assert read_checkpoint(tmp_path) is None
        assert "the run starts over" in caplog.text
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM trials; END",
        "CREATE VIEW v AS SELECT 1",
    ],
)
def test_database_with_statements_of_others_is_refused(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "study.db"
    open_study(path, "s", SPACE, [0])
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    with pytest.raises(StudyError, match="it holds the"), database_trouble_told(path):
        open_study(path, "s", SPACE, [0])


def test_database_and_adapter_are_no_way_to_other_files(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (home / "secret.json").write_text("{}")
    study(home / "s", GRID)
    (home / "s" / "study.db").symlink_to(home / "other.db")
    with pytest.raises(StudyError, match="leads out"), database_trouble_told(home / "s/study.db"):
        open_study(home / "s" / "study.db", "s", SPACE, [0])
    assert not (home / "other.db").exists()
    for run_dir in (home / "s" / "runs").iterdir():
        (run_dir / "adapter").mkdir()
        (run_dir / "adapter" / "adapter_config.json").symlink_to(home / "secret.json")
    code, text = said(capfd, "export", "s")
    assert code == 2
    assert "adapter_config.json" in text
    assert not (home / "s" / "best").exists()
