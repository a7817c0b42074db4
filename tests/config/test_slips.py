"""Every kind of slip, refused with what was meant."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from composing import experiment, settings
from sweep.config.compose import load_settings
from sweep.core.errors import ConfigError


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
        (
            "lora.init_lora_weights=pissa_niter_16",
            "gaussian, orthogonal, mica, pissa, olora or eva",
        ),
        ("search.space={lora.init_lora_weights:[true,loftq]}", "mica, pissa, olora or eva"),
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


def test_missing_own_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a folder"):
        settings(config_dir=tmp_path / "none")


def test_cmaes_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    ranges = "{lora.lora_dropout:{low:0,high:0.3},trainer.weight_decay:{low:0.0,high:0.1}}"
    with pytest.raises(ConfigError, match=r"sweep\[cmaes\]"):
        settings("search=cmaes", f"search.space={ranges}")
