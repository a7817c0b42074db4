"""Composition: what the files say, what the command line may say, and every kind of slip."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from sweep.config.compose import Settings, assets, load_settings
from sweep.core.errors import ConfigError

EXPERIMENTS = sorted(p.stem for p in (assets() / "sweeps" / "experiment").glob("*.yaml"))


def settings(*overrides: str, config_dir: Path | None = None) -> Settings:
    return load_settings(overrides, config_dir=config_dir)[0]


def experiment(folder: Path, body: str, name: str = "mine") -> Path:
    path = folder / "experiment" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_under_its_own_name(name: str) -> None:
    composed = settings(f"+experiment={name}")
    assert composed.name == name
    assert composed.space.keys


@pytest.mark.parametrize(
    ("group", "option"),
    [(p.parent.name, p.stem) for p in sorted((assets() / "conf").glob("*/*.yaml"))],
)
def test_every_option_of_every_group_composes(group: str, option: str) -> None:
    assert settings(f"{group}={option}").name == "sweep"


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


def test_klue_grid_is_the_same_grid_with_the_usual_setting() -> None:
    klue, grid = settings("+experiment=klue_lora_grid"), settings("+experiment=lora_grid")
    assert klue.space == grid.space
    assert klue.model.path == "klue/roberta-small"
    assert (klue.data.path, klue.data.name, klue.data.label) == ("klue", "sts", "labels.label")
    trainer = klue.trainer
    assert (trainer.num_train_epochs, trainer.learning_rate) == (10, 1e-3)
    assert (trainer.per_device_train_batch_size, trainer.weight_decay) == (16, 0.01)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+experimnt=lora_grid", "did you mean `experiment`"),
        ("+experiment=lora_gird", "did you mean `lora_grid`"),
        ("model=minilmm", "did you mean `minilm`"),
        ("lora.lora_alhpa=8", "did you mean `lora.lora_alpha`"),
        ("+lora.lora_alhpa=8", "did you mean `lora.lora_alpha`"),
        ("lora_alpha=8", "there is no `lora_alpha`"),
        ("trainer.learning_rat=1", "did you mean `trainer.learning_rate`"),
        ("nonsense", "`key=value`"),
        ("lora.r=many", "`lora.r` has a wrong type"),
        ("lora.r=0", "`lora.r` must be at least 1"),
        ("lora.lora_alpha=-2", "`lora.lora_alpha` must be above 0"),
        ("lora.init_lora_weights=pissa_niter_16", "gaussian, orthogonal, mica, pissa or olora"),
        ("search.space={lora.init_lora_weights:[true,eva]}", "mica, pissa or olora"),
        ("lora.lora_dropout=1", "`lora.lora_dropout` must lie in"),
        ("search.seeds=[]", "at least one seed"),
        ("search.seeds=[1,1]", "each once"),
        ("search.sampler=best", "`search.sampler` has a wrong type or value"),
        ("trainer.report_to=wandb", "tracking.mode"),
        ("trainer.seed=3", "search.seeds"),
        ("resume=again", "`resume` has a wrong type or value"),
        ("+experiment=no/such/file.yaml", "must exist"),
        ("search.space={lora.r:[8,0]}", "`lora.r` must be at least 1"),
        ("search.space={lora.rank:[8]}", "did you mean `lora.r"),
        ("search.space={lora.r:[8,16]} lora.r=4", "either searched or set"),
        ("search.space={lora.r:8} lora.r=4", "either searched or set"),
        ("search.space={lora.r:0}", "`lora.r` must be at least 1"),
        ("search.space={lora.r:[4]} search.baseline=true", "`lora.r` 8 is not in it"),
        ("search.space={model:[minilm,klue_roberta_smal]}", "did you mean `klue_roberta_small`"),
        ("search.space={lora:[default]}", "must differ"),
        ("search.space={data:[sts_demo,stsb]}", "on one dev set"),
        ("search.space={data.holdout:[0.1,0.2]}", "on one dev set"),
        ("search.space={data.label_range:[[0,1],[0,5]]}", "one dev set"),
        ("search.space=넓게", "must map names"),
        ("search=tpe search.objectives=[lora_params:min]", "must list `pearson:max`"),
        ("search.objectives=[pearson:min]", "of these: pearson:max, lora_params:min"),
        ("search=nsga2 search.pruner=median", "no run is pruned"),
        ("search=cmaes search.space={lora.r:[4,8]}", "labels have no order"),
        ("search=cmaes search.objectives=[pearson:max,lora_params:min]", "one objective"),
        ("search.baseline=maybe", "`search.baseline` has a wrong type or value"),
        ("search.race=wilcoxn", "unable to interpret input, or: Input should be 'wilcoxon'."),
        ("search.space={lora.r:[4,8]} search.start_with=[{lora.r:16}]", "16 is not in it"),
        ("search.space.lora=[default,rslora] search.space.lora.r=[8]", "can't be composed"),
        ("executor.workers=-1", "`executor.workers` must be at least 1"),
        ("executor.threads=0", "`executor.threads` must be at least 1"),
        ("executor.pack_size=-3", "`executor.pack_size` must be at least 1"),
        ("executor.max_memory_gb=nan", "must be above 0"),
        ("tracking.timeout_s=-1", "must be above 0"),
        ("search.timeout_min=nan", "must be above 0"),
        ("search.seeds=[-1]", "`search.seeds` must lie in"),
        ("search.sampler_seed=4294967296", "`search.sampler_seed` must lie in"),
        ("confirm.share=nan", "share >= 0"),
        ("data.max_train_rows=0", "`data.max_train_rows` must be at least 1"),
        ("data.max_dev_rows=-2", "`data.max_dev_rows` must be at least 2"),
        ("data.seed=-1", "`data.seed` must be at least 0"),
        ("data.holdout_seed=-1", "`data.holdout_seed` must be at least 0"),
        ("data.encoding=cp-949x", "one that Python knows"),
        ("trainer.adam_beta2=1", "must lie in [0, 1)"),
        ("trainer.dataloader_num_workers=-1", "must be at least 0"),
        ("name=2024", """as a text it is `name="'2024'"`"""),
    ],
)
def test_slip_is_refused_with_what_was_meant(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(*override.split())
    assert said in str(caught.value)


def test_bad_value_deep_in_the_space_is_found_before_training(tmp_path: Path) -> None:
    body = "# @package _global_\nsearch: {space: {lora.lora_dropout: [0.0, 0.1, 1.5]}}\n"
    with pytest.raises(ConfigError, match=r"lora\.lora_dropout.*\n.*1\.5"):
        settings(f"+experiment={experiment(tmp_path, body)}")


def test_unknown_key_in_a_file_is_refused(tmp_path: Path) -> None:
    body = "# @package _global_\nlora: {lora_alhpa: 8}\n"
    with pytest.raises(ConfigError, match="did you mean `lora_alpha`"):
        settings(f"+experiment={experiment(tmp_path, body)}")


def test_experiment_without_its_header_is_refused_by_name(tmp_path: Path) -> None:
    path = experiment(tmp_path, "lora: {r: 4}\n")
    for overrides, config_dir in (
        ([f"+experiment={path}"], None),
        (["+experiment=mine"], tmp_path),
    ):
        with pytest.raises(ConfigError) as caught:
            load_settings(overrides, config_dir=config_dir)
        assert "@package _global_" in str(caught.value)
        assert "mine.yaml" in str(caught.value)


BROKEN = {
    "not YAML": b"lora:\n  r: 8\n bad: [1\n",
    "a tab": b"lora:\n\tr: 8\n",
    "cp949": "# 이름\nlora: {r: 8}\n".encode("cp949"),
    "a list": b"- lora\n",
    "no keys": b"lora:\n",
    "a number": b"search: 5\n",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("way", ["path", "name", "group", "defaults"])
def test_broken_file_is_a_mistake_however_it_is_named(
    tmp_path: Path, content: bytes, way: str
) -> None:
    header = b"# @package _global_\n"
    own = tmp_path / "내 설정"
    groups = {name: own / name for name in ("experiment", "lora")}
    for folder in groups.values():
        folder.mkdir(parents=True)
    (groups["experiment"] / "이것.yaml").write_bytes(header + content)
    (groups["lora"] / "big.yaml").write_bytes(content)
    (groups["experiment"] / "other.yaml").write_bytes(header + b"defaults: [/lora: big]\n")
    argument = {
        "path": f"+experiment={own}/experiment/이것.yaml",
        "name": "+experiment=이것",
        "group": "lora=big",
        "defaults": "+experiment=other",
    }[way]
    with pytest.raises(ConfigError) as caught:
        load_settings([argument], config_dir=own)
    assert caught.value.value is not None


def test_file_with_a_byte_order_mark_means_what_it_says(tmp_path: Path) -> None:
    body = "\ufeff# @package _global_\nlora: {r: 5}\n"
    path = experiment(tmp_path, body, name="메모장")
    for argument, config_dir in ((f"+experiment={path}", None), ("+experiment=메모장", tmp_path)):
        composed = settings(argument, config_dir=config_dir)
        assert (composed.name, composed.lora.r) == ("메모장", 5)


def test_own_folder_brings_experiments_and_groups(tmp_path: Path) -> None:
    experiment(tmp_path, "# @package _global_\nlora: {r: 5}\n", name="내실험")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "big.yaml").write_text("r: 64\nlora_alpha: 128\n")
    composed = settings("+experiment=내실험", config_dir=tmp_path)
    assert (composed.name, composed.lora.r) == ("내실험", 5)
    assert settings("lora=big", config_dir=tmp_path).lora.lora_alpha == 128


def test_missing_own_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a folder"):
        settings(config_dir=tmp_path / "none")


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


def test_dimension_can_be_taken_out_on_the_command_line() -> None:
    composed = settings("+experiment=lora_grid", "search.space.rank=null")
    assert len(composed.space.grid()) == 4


def test_dotted_dimension_can_be_set_or_taken_out_on_the_command_line() -> None:
    composed = settings(
        "+experiment=lora_grid", "search.space.lora.lora_dropout=null",
        "search.space.lora.target_modules=[qv,qkv,mlp]",
    )  # fmt: skip
    assert len(composed.space.grid()) == 6
    assert "lora.lora_dropout" not in composed.space.keys


def test_whole_space_takes_the_place_of_the_experiment_s() -> None:
    composed = settings("+experiment=lora_grid", "search.space={lora.r:[4,8]}")
    assert composed.space.keys == ("lora.r",)
    assert settings("+experiment=lora_grid", "search.space={}").space.keys == ()


def test_other_weights_drop_the_checksum_and_name_of_the_preset(tmp_path: Path) -> None:
    assert settings().model.sha256 is not None
    other = settings(f"model.path={tmp_path}").model
    assert (other.sha256, other.hub_name) == (None, None)
    assert settings(f"model.path={tmp_path}", "model.sha256=ab").model.sha256 == "ab"


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


def test_list_of_korean_columns_is_a_list() -> None:
    assert settings("data.label=[점수,score, labels.label]").data.label == (
        "점수", "score", "labels.label",
    )  # fmt: skip
    searched = settings("data=files", "search.space.data.train=[가.csv,나.csv]")
    assert [Path(r.data.train).name for _, r in searched.configs()] == ["가.csv", "나.csv"]


def test_home_folder_is_meant_by_its_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/사람")
    assert settings("results_dir='~/sweeps'").folder == Path("/home/사람/sweeps/sweep")


def test_local_folder_is_resolved_once_against_the_start_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "모델").mkdir()
    monkeypatch.chdir(tmp_path)
    assert settings("model.path=모델").model.path == str(tmp_path / "모델")
    assert settings("model.path=klue/roberta-small").model.path == "klue/roberta-small"


@pytest.mark.parametrize("name", ["lora_grid", "lora_tpe", "lora_asha", "klue_lora_grid"])
def test_base_recipe_is_in_the_space_of_the_experiments(name: str) -> None:
    composed = settings(f"+experiment={name}")
    assert composed.baseline is not None
    assert composed.baseline["rank"] == "r8_a16"
    assert composed.expand(composed.baseline, 3) == composed.recipe(3)
    assert composed.baseline_id == composed.recipe(0).config_id


def test_sampler_starts_with_the_baseline_and_a_grid_keeps_its_cells() -> None:
    start = "search.start_with=[{lora.r:16,lora.lora_alpha:32}]"
    tpe = settings("+experiment=lora_tpe", start)
    assert [p["rank"] for p in tpe.first_points()] == ["r8_a16", "r16_a32"]
    assert len(settings("+experiment=lora_tpe", "search.baseline=false").first_points()) == 0
    grid = settings("+experiment=lora_grid", start)
    assert [p["rank"] for p in grid.first_points()] == ["r16_a32"]
    assert all(point in grid.space.grid() for point in grid.first_points())


def test_space_without_the_base_recipe_has_no_baseline() -> None:
    composed = settings("search=random", "search.space={lora.r:[4,16]}")
    assert composed.baseline is None
    assert composed.baseline_id is None
    assert composed.first_points() == []


def test_whole_groups_are_choices_that_set_what_differs(tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "넓게.yaml").write_text("defaults: [default, _self_]\nr: 64\n", "utf-8")
    composed = settings(
        "search.space={model:[minilm,klue_roberta_small],lora:[default,rslora,'넓게'],"
        "trainer:{values:[default,smoke],when:{lora:[default]}}}",
        config_dir=tmp_path,
    )
    space = composed.space
    cells = space.grid()
    assert len(cells) == 2 * (2 + 1 + 1)
    assert space.num_points == len(cells)
    # The checksum follows from the path: it is set, and no column of its own.
    assert space.keys[:3] == ("model.path", "lora.r", "lora.use_rslora")
    korean = {"model": "klue_roberta_small", "lora": "넓게"}
    recipe = composed.expand(korean, 0)
    assert (recipe.model.path, recipe.model.sha256) == ("klue/roberta-small", None)
    assert (recipe.lora.r, recipe.lora.lora_alpha) == (64, 16)
    assert recipe.trainer == composed.trainer
    smoke = composed.expand({"model": "minilm", "lora": "default", "trainer": "smoke"}, 0)
    assert smoke.trainer == settings("trainer=smoke").trainer
    assert smoke.model == composed.model
    assert composed.baseline == {"model": "minilm", "lora": "default", "trainer": "default"}


def test_option_of_a_group_means_what_it_means_on_the_command_line() -> None:
    searched = settings(
        "+experiment=lora_grid", "search.space={lora:[default,rslora]}", "lora.r=32"
    )
    cell = searched.expand({"lora": "rslora"}, 0)
    assert cell == settings(
        "+experiment=lora_grid", "search.space={}", "lora=rslora", "lora.r=32"
    ).recipe(0)
    # What the options do not differ in can be searched beside them.
    both = settings("+experiment=lora_grid", "search.space.lora=[default,rslora]")
    assert len(both.space.grid()) == 16


def test_cmaes_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweep.config.combinations.find_spec", lambda name: None)
    ranges = "{lora.lora_dropout:{low:0,high:0.3},trainer.weight_decay:{low:0.0,high:0.1}}"
    with pytest.raises(ConfigError, match=r"sweep\[cmaes\]"):
        settings("search=cmaes", f"search.space={ranges}")
