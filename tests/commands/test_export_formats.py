"""Forms of an export from the command line: written, told, measured, sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from command_line import run
from studies import read_json
from sweep.commands.cost import cost_words
from sweep.core.errors import ExportError
from sweep.export import onnx_model
from sweep.export.cost import Cost
from sweep.export.push import push

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
    code, out, _ = run("cost", str(best), "--json", "--seconds", "0.1", capfd=capfd)
    assert code == 0
    names = [row["name"] for row in json.loads(out) if row["threads"] == 1]
    assert [name for name in names if "bf16" not in name] == ["adapter", "merged", "onnx", "int8"]


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


def test_cost_says_what_merging_and_eight_bits_change() -> None:
    def cost(name: Any, rate: float) -> Cost:
        return Cost(name, 1, rate, 5.0, 6.0, None, None)

    merge, eight = cost_words([cost("adapter", 100), cost("merged", 120), cost("int8", 240)])
    assert "1.20 times the adapter's pairs a second, on 1 thread." in merge
    assert "int8 gives 2.00 times merged" in eight
    *_, eight = cost_words([cost("adapter", 100), cost("merged", 120), cost("int8", 121)])
    assert "no gain here" in eight
