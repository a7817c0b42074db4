"""LoRA and its relatives in one study, from the command line to what people read."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from command_line import run, table, tiny_sweep
from sweep.study.study import Study

SPACE = (
    "search.space={method:{lora:{lora.use_dora:false,lora.lr_ratio:1},"
    "plus:{lora.use_dora:false,lora.lr_ratio:8},dora:{lora.use_dora:true,lora.lr_ratio:1}},"
    "trainer.learning_rate:[1e-3,5e-3,2e-2]}"
)


def swept(tiny_model: Path, pair_files: dict[str, Path], folder: Path) -> list[str]:
    base = tiny_sweep(tiny_model, pair_files)
    kept = [a for a in base if not a.startswith(("search.space", "confirm", "trainer.learning"))]
    return [*kept, SPACE, "confirm=auto", "confirm.seeds=2", f"results_dir={folder}"]


@pytest.mark.trains
def test_best_of_each_method_is_compared_on_fresh_seeds(
    tiny_model: Path,
    pair_files: dict[str, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = [*swept(tiny_model, pair_files, tmp_path), "confirm.each=method"]
    code, out, err = run(*arguments, capfd=capfd)
    assert code == 0, err
    study = Study.open(tmp_path / "작은_실험")
    board = table(study.files.folder, "leaderboard.csv")
    confirmed = board[board["confirmed"]]
    methods = {r.run.recipe.config_id: r.run.recipe.lora.variant for r in study.records}
    assert {"LoRA", "LoRA+", "DoRA"} == {methods[name] for name in confirmed["config_id"]}
    found = {one.name: one for one in study.effects.variants}
    search = board["search_mean"].fillna(board["mean"])
    for name, one in found.items():
        own = [s for s, c in zip(search, board["config_id"], strict=True) if methods[c] == name]
        assert one.best_of[-1] == pytest.approx(max(own))
        assert one.best_of[0] == pytest.approx(sum(own) / len(own))
    assert "variants expected best of 2 draws on the search's seeds:" in out
    said = list(itertools.chain(study.verdict.sentences if study.verdict else ()))
    assert any(name in said[0] for name in found)
    page = (study.files.folder / "report.html").read_text(encoding="utf-8")
    assert "LoRA and its relatives" in page


@pytest.mark.parametrize("name", ["trainer.learning_rates", "rank"])
def test_each_must_name_what_is_searched(
    name: str,
    tiny_model: Path,
    pair_files: dict[str, Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = swept(tiny_model, pair_files, tmp_path)
    code, _, err = run(*arguments, f"confirm.each={name}", capfd=capfd)
    assert code == 2
    assert f"{name}; searched are method, trainer.learning_rate" in err
