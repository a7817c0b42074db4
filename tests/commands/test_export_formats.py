"""Forms of an export from the command line: written, told, measured, sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import huggingface_hub
import pytest

from command_line import run
from studies import read_json
from sweep.core.errors import ExportError
from sweep.export import onnx_model
from sweep.export.cost_section import cost_section, note_costs
from sweep.export.push import push
from sweep.stats.interval import Interval
from sweep.study.files import ExportedFiles, StudyFiles
from sweep.study.scoring_costs import Cost, ScoringCosts
from sweep.watch.report import build_report

STUDY = "results/작은_실험"


@pytest.mark.long
def test_export_writes_forms_that_are_told_measured_and_verified(
    copied_study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    best = tmp_path / "모두"
    code, out, _ = run("export", STUDY, "--onnx", "--int8", "--to", str(best), capfd=capfd)
    assert code == 0
    assert "onnx: dev Pearson the same" in out
    card = (best / "README.md").read_text(encoding="utf-8")
    rows = [line for line in card.splitlines() if line.startswith(("| `onnx/`", "| `int8/`"))]
    assert len(rows) == 2
    told = {form["name"]: form for form in read_json(best / "metrics.json")["formats"]}
    assert told["onnx"]["largest"] < 1e-4
    assert all(form["cost"]["pairs_per_second"] > 0 for form in told.values())
    # A form that may lose too much comes first on the card.
    assert ("**Warning.** `int8/`" in card) is not told["int8"]["is_safe"]
    assert run("verify", str(best), capfd=capfd)[0] == 0
    # What the cost was at the export stands there, with a picture.
    assert "## What scoring takes" in card
    assert (best / "cost.svg").is_file()
    code, out, _ = run("cost", str(best), "--json", "--seconds", "0.1", capfd=capfd)
    assert code == 0
    names = [row["name"] for row in json.loads(out) if row["threads"] == 1]
    assert [name for name in names if " " not in name] == ["adapter", "merged", "onnx", "int8"]


def test_form_that_needs_a_missing_package_is_refused_before_anything_is_written(
    copied_study: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_model, "trouble_with", lambda package: "is not installed")
    code, _, err = run("export", STUDY, "--int8", "--to", "neu", capfd=capfd)
    assert code == 2
    assert 'pip install "sweep[onnx]"' in err
    assert not Path("neu").exists()


def test_push_sends_the_whole_folder_to_a_private_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []

    class Hub:
        def create_repo(self, repo: str, **options: Any) -> str:
            calls.append((repo, options["private"]))
            return f"https://hub/{repo}"

        def upload_folder(self, *, repo_id: str, folder_path: str, **_: Any) -> None:
            calls.append((repo_id, folder_path))

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    with pytest.raises(ExportError, match="model card"):
        push(tmp_path, "me/model")
    assert not calls
    (tmp_path / "README.md").write_text("# card", encoding="utf-8")
    assert push(tmp_path, "me/model") == "https://hub/me/model"
    assert calls == [("me/model", True), ("me/model", str(tmp_path))]


@pytest.mark.parametrize("repo", ["me/model", "not a name!"])
def test_push_that_can_not_be_done_says_what_it_needs(repo: str, tmp_path: Path) -> None:
    """The tests have no network."""
    (tmp_path / "README.md").write_text("# card", encoding="utf-8")
    with pytest.raises(ExportError, match="hf auth login"):
        push(tmp_path, repo)


def costs(int8_rate: float, *, has_vnni: bool | None) -> ScoringCosts:
    sizes = {"adapter": 0.3, "merged": 90.0, "int8": 22.5}
    rates = {"adapter": 100.0, "merged": 120.0, "int8": int8_rate}
    rows = tuple(Cost(name, 1, rates[name], 5, 6, 80, sizes[name]) for name in rates)
    return ScoringCosts(rows, "a processor", has_vnni, Interval(-0.001, -0.003, 0.001))


def test_cost_says_in_one_sentence_what_each_form_changes() -> None:
    said = costs(240, has_vnni=True).sentence
    assert said.startswith("LoRA leaves the cost of scoring as that of the base; merging makes it ")
    assert "1.20 times the adapter's pairs a second; int8 gives 2.00 times merged in 25%" in said
    assert "at a dev Pearson of -0.0010 (95 % interval -0.0030 to +0.0010)" in said
    assert said.endswith(". Measured on 1 thread of a processor.")


@pytest.mark.parametrize(("has_vnni", "why"), [(False, True), (True, False), (None, False)])
def test_eight_bits_that_bring_nothing_are_said_to_bring_nothing(
    has_vnni: bool | None, why: bool
) -> None:
    said = costs(121, has_vnni=has_vnni).sentence
    assert "int8 gives no gain here (1.01 times merged" in said
    assert ("the processor has no VNNI" in said) is why


def test_costs_take_the_place_of_earlier_ones_on_the_card_and_come_into_the_report(
    copied_study: Path,
) -> None:
    files = StudyFiles(copied_study)
    best = ExportedFiles(files.best)
    first, later = costs(240, has_vnni=True), costs(121, has_vnni=False)
    card = best.card.read_text(encoding="utf-8")
    best.card.write_text(card + cost_section(first, best.picture.name), encoding="utf-8")
    note_costs(best, later)
    told = best.card.read_text(encoding="utf-8")
    assert told.startswith(card)
    assert told.count("## What scoring takes") == told.count("](cost.svg)") == 1
    assert later.sentence in told
    assert first.sentence not in told
    bars = ElementTree.fromstring(best.picture.read_text(encoding="utf-8"))
    assert sum(node.text == "int8, 1 thread" for node in bars.iter()) == 1
    page = build_report(copied_study).read_text(encoding="utf-8")
    assert "no gain here" in page
    assert "adapter on base" in page
