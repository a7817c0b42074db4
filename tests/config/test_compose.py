"""Composition: what the files say and what the command line may say."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from composing import experiment, settings
from sweep.config.compose import assets, load_settings

EXPERIMENTS = sorted(p.stem for p in (assets() / "sweeps" / "experiment").glob("*.yaml"))


CLASSIFIED = {("data", name) for name in ("klue_nli", "nli_demo", "nsmc", "topic_demo")}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_under_its_own_name(name: str) -> None:
    composed = settings(f"+experiment={name}")
    assert composed.name == name
    assert composed.space.keys


@pytest.mark.long
@pytest.mark.parametrize(
    ("group", "option"),
    [(p.parent.name, p.stem) for p in sorted((assets() / "conf").glob("*/*.yaml"))],
)
def test_every_option_of_every_group_composes(group: str, option: str) -> None:
    # Rows of classes or of single sentences are nothing to be scored for likeness.
    others = ["task=classification"] if (group, option) in CLASSIFIED else []
    assert settings(f"{group}={option}", *others).name == "sweep"


@pytest.mark.long
def test_search_seeks_the_metric_of_the_task() -> None:
    assert settings().search.objectives == ("pearson:max",)
    assert settings("task.metric=spearman").search.objectives == ("spearman:max",)
    classified = settings("task=classification", "data=nli_demo", "task.metric=macro_f1")
    assert [(o.name, o.direction) for o in classified.objectives] == [("macro_f1", "max")]
    both = "search.objectives=[accuracy:max,lora_params:min]"
    assert len(settings("task=classification", "data=nli_demo", both).objectives) == 2


def test_lora_grid_is_the_eight_configs() -> None:
    composed = settings("+experiment=lora_grid")
    recipes = [composed.expand(cell, 0) for cell in composed.space.grid()]
    assert {
        (r.lora.r, r.lora.lora_alpha, r.lora.lora_dropout, r.lora.target_modules) for r in recipes
    } == {
        (r, a, d, t)
        for r, a in ((8, 16), (16, 32))
        for d in (0.0, 0.1)
        for t in ("qv", "all-linear")
    }


@pytest.mark.long
def test_klue_grid_is_the_same_grid_with_the_usual_setting() -> None:
    klue, grid = settings("+experiment=klue_lora_grid"), settings("+experiment=lora_grid")
    assert klue.space == grid.space
    assert klue.model.path == "klue/roberta-small"
    assert (klue.data.path, klue.data.name, klue.data.label) == ("klue", "sts", "labels.label")
    trainer = klue.trainer
    assert (trainer.num_train_epochs, trainer.learning_rate) == (10, 1e-3)
    assert (trainer.per_device_train_batch_size, trainer.weight_decay) == (16, 0.01)


@pytest.mark.long
def test_file_with_a_byte_order_mark_means_what_it_says(tmp_path: Path) -> None:
    body = "\ufeff# @package _global_\nlora: {r: 5}\n"
    path = experiment(tmp_path, body, name="메모장")
    for argument, config_dir in ((f"+experiment={path}", None), ("+experiment=메모장", tmp_path)):
        composed = settings(argument, config_dir=config_dir)
        assert (composed.name, composed.lora.r) == ("메모장", 5)


@pytest.mark.long
def test_own_folder_brings_experiments_and_groups(tmp_path: Path) -> None:
    experiment(tmp_path, "# @package _global_\nlora: {r: 5}\n", name="내실험")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "big.yaml").write_text("r: 64\nlora_alpha: 128\n")
    composed = settings("+experiment=내실험", config_dir=tmp_path)
    assert (composed.name, composed.lora.r) == ("내실험", 5)
    assert settings("lora=big", config_dir=tmp_path).lora.lora_alpha == 128


def test_experiment_file_from_anywhere_with_a_korean_path(tmp_path: Path) -> None:
    path = experiment(tmp_path / "실험 폴더", "# @package _global_\nlora: {r: 6}\n", name="첫째")
    composed = settings(f"+experiment={path}")
    assert (composed.name, composed.lora.r) == ("첫째", 6)


def test_names_that_the_disk_spells_in_another_unicode_form_are_found(
    tmp_path: Path, tiny_model: Path
) -> None:
    decomposed, composed = (
        {name: unicodedata.normalize(form, name) for name in ("실험", "첫째", "모델")}
        for form in ("NFD", "NFC")
    )
    folder = tmp_path / composed["실험"]
    body = "# @package _global_\nlora: {r: 6}\n"
    experiment(folder, body, name=decomposed["첫째"])
    (folder / decomposed["모델"]).symlink_to(tiny_model)
    found = settings(
        f"+experiment={folder / 'experiment' / composed['첫째']}.yaml",
        f"model.path={folder / composed['모델']}",
    )
    assert (found.name, found.lora.r) == (composed["첫째"], 6)
    assert Path(found.model.path).samefile(tiny_model)


def test_values_outside_of_hydra_s_grammar_arrive_as_written() -> None:
    composed = settings(
        "data=files",
        "data.train=자료 모음/훈련 (1),2.csv",
        "name=한국어",
        r"lora.target_modules=.*\.(query|value)",
    )
    assert composed.data.train == str(Path("자료 모음/훈련 (1),2.csv").resolve())
    assert composed.folder == Path("results/한국어")
    assert composed.lora.target_modules == r".*\.(query|value)"


@pytest.mark.long
def test_old_names_are_mapped_with_a_notice(tmp_path: Path) -> None:
    composed, notices = load_settings(["trainer.evaluation_strategy=epoch"])
    assert composed.trainer.eval_strategy == "epoch"
    assert "eval_strategy" in notices[0]
    body = "# @package _global_\ntrainer: {warmup_ratio: 0.2}\n"
    composed, notices = load_settings([f"+experiment={experiment(tmp_path, body)}"])
    assert composed.trainer.warmup_steps == 0.2
    assert "warmup_steps" in notices[0]


def test_plus_before_a_known_key_is_forgiven() -> None:
    assert settings("+lora.r=4").lora.r == 4


@pytest.mark.long
def test_other_weights_drop_the_checksum_and_name_of_the_preset(tmp_path: Path) -> None:
    assert settings().model.sha256 is not None
    other = settings(f"model.path={tmp_path}").model
    assert (other.sha256, other.hub_name) == (None, None)
    assert settings(f"model.path={tmp_path}", "model.sha256=ab").model.sha256 == "ab"


@pytest.mark.long
def test_other_weights_in_a_file_or_a_space_drop_them_too(tmp_path: Path) -> None:
    body = "# @package _global_\nmodel: {path: some/model}\n"
    in_file = settings(f"+experiment={experiment(tmp_path, body)}").model
    assert (in_file.path, in_file.sha256, in_file.hub_name) == ("some/model", None, None)
    named = body.replace("}", ", hub_name: team/model}")
    assert settings(f"+experiment={experiment(tmp_path, named)}").model.hub_name == "team/model"
    whole = body.replace("}", ", sha256: ab, hub_name: team/model}")
    path = experiment(tmp_path, whole)
    assert settings(f"+experiment={path}").model.sha256 == "ab"
    # The file's are those of its own path.
    moved = settings(f"+experiment={path}", "model.path=other/model").model
    assert (moved.path, moved.sha256, moved.hub_name) == ("other/model", None, None)
    base = settings().model
    searched = settings(f"search.space.model.path=['{base.path}',klue/roberta-small]")
    models = [recipe.model for _, recipe in searched.configs()]
    assert models[0] == base
    assert (models[1].sha256, models[1].hub_name) == (None, None)


@pytest.mark.long
def test_list_of_korean_columns_is_a_list() -> None:
    assert settings("data.label=[점수,score, labels.label]").data.label == (
        "점수", "score", "labels.label",
    )  # fmt: skip
    searched = settings("data=files", "search.space.data.train=[가.csv,나.csv]")
    assert [Path(r.data.train).name for _, r in searched.configs()] == ["가.csv", "나.csv"]


def test_home_folder_is_meant_by_its_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/사람")
    assert settings("results_dir='~/sweeps'").folder == Path("/home/사람/sweeps/sweep")


@pytest.mark.long
def test_local_folder_is_resolved_once_against_the_start_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "모델").mkdir()
    monkeypatch.chdir(tmp_path)
    assert settings("model.path=모델").model.path == str(tmp_path / "모델")
    assert settings("model.path=klue/roberta-small").model.path == "klue/roberta-small"
