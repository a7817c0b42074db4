"""What people typed elsewhere, and the command that they are answered with."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from sweep.commands.arguments import make_parser
from sweep.commands.cli import run_command
from sweep.config.compose import load_settings
from sweep.core.errors import ConfigError

#: What was typed behind `python -m sweep`, and what is to be typed instead.
MULTIRUN = [
    ("-m lora.r=4,8", "search.space={lora.r:[4,8]}"),
    ("lora.r=4,8", "search.space={lora.r:[4,8]}"),
    ("+lora.r=4,8", "search.space={lora.r:[4,8]}"),
    ("lora.r=choice(4,8) --multirun", "search.space={lora.r:[4,8]}"),
    ("-m lora.r=range(4,17,4)", "search.space={lora.r:[4,8,12,16]}"),
    ("-m lora.r=range(1,65)", "search.space={lora.r:{low:1,high:64,step:1}}"),
    (
        "-m lora.r=4,8 trainer.weight_decay=0.0,0.1",
        "search.space={lora.r:[4,8],trainer.weight_decay:[0.0,0.1]}",
    ),
    (
        "-m trainer.learning_rate=tag(log,interval(1e-4,1e-2))",
        "search=tpe search.space={trainer.learning_rate:{low:0.0001,high:0.01,log:true}}",
    ),
    (
        "-m search=random lora.lora_dropout=interval(0,0.3)",
        "search=random search.space={lora.lora_dropout:{low:0.0,high:0.3}}",
    ),
    ("-m trainer.evaluation_strategy=epoch,steps trainer.eval_steps=2",
     "trainer.eval_steps=2 search.space={trainer.eval_strategy:[epoch,steps]}"),
    ("-m model=minilm,roberta_base", "search.space={model:[minilm,roberta_base]}"),
    ("-m model=glob(klue*)", "search.space={model:[klue_roberta_base,klue_roberta_small]}"),
    ("-m +experiment=lora_grid lora.r=4,8", "+experiment=lora_grid search.space={lora.r:[4,8]}"),
    (
        "search.space.lora.lora_dropout=[0.0,0.1] lora.r=4,8",
        "search.space.lora.lora_dropout=[0.0,0.1] search.space.lora.r=[4,8]",
    ),
    ("-m trainer.seed=0,1,2", "search.seeds=[0,1,2]"),
    ("seed=0,1,2", "search.seeds=[0,1,2]"),
    ("search.seeds=0,1,2", "search.seeds=[0,1,2]"),
    ("lora.target_modules=qv,all-linear", "search.space={lora.target_modules:[qv,all-linear]}"),
    ("lora.target_modules=query,value", "lora.target_modules=[query,value]"),
    ("-m lora.target_modules=query,value", "search.space={lora.target_modules:[query,value]}"),
    (
        "-m lora.target_modules=[query,value],[query]",
        "search.space={lora.target_modules:[[query,value],[query]]}",
    ),
    ("data.label=label,labels.label", "data.label=[label,labels.label]"),
]  # fmt: skip
FLAGS = [
    ("-cn klue_lora_grid", "+experiment=klue_lora_grid"),
    ("--config-name klue_lora_grid", "+experiment=klue_lora_grid"),
    ("--config-name=klue_lora_grid.yaml mode=plan", "+experiment=klue_lora_grid mode=plan"),
    ("-cn config lora.r=4", "lora.r=4"),
    ("-m +experiment=lora_grid", "+experiment=lora_grid"),
    ("--run lora.r=4", "lora.r=4"),
    ("--lora.r=8", "lora.r=8"),
    ("--learning_rate 1e-3 --batch_size=32", "trainer.learning_rate=1e-3 "
     "trainer.per_device_train_batch_size=32"),
    ("--model_name_or_path klue/roberta-small --seed 3 --use_rslora",
     "model.path=klue/roberta-small search.seeds=[3] lora.use_rslora=true"),
    ("--lora_r=4 --epochs 2 name=x", "lora.r=4 trainer.num_train_epochs=2 name=x"),
]  # fmt: skip
SWEEPER = [
    ("hydra/sweeper=optuna +experiment=lora_grid", "+experiment=lora_grid search=tpe"),
    (
        "-m hydra/sweeper=optuna hydra.sweeper.n_trials=12 hydra.sweeper.sampler.seed=1 "
        "hydra.sweeper.direction=maximize lora.r=4,8",
        "search.n_trials=12 search.sampler_seed=1 search=tpe search.space={lora.r:[4,8]}",
    ),
    (
        "hydra/sweeper=optuna hydra/sweeper/sampler=random lora.r=4,8",
        "search=random search.space={lora.r:[4,8]}",
    ),
    (
        "hydra.sweeper.sampler._target_=optuna.samplers.NSGAIISampler lora.r=4,8",
        "search=nsga2 search.space={lora.r:[4,8]}",
    ),
    (
        "hydra.sweeper.params.lora.r=choice(4,8) hydra.sweeper.params.lora.lora_alpha=16",
        "lora.lora_alpha=16 search.space={lora.r:[4,8]}",
    ),
    (
        "hydra.sweeper.params={lora.r:choice(4,8),lora.lora_dropout:interval(0,0.3)}",
        "search=tpe search.space={lora.r:[4,8],lora.lora_dropout:{low:0.0,high:0.3}}",
    ),
    (
        "-m hydra/launcher=joblib hydra.launcher.n_jobs=2 hydra.sweep.dir=out lora.r=4,8",
        "executor.workers=2 results_dir=out search.space={lora.r:[4,8]}",
    ),
]


def answer(words: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(shlex.split(words))
    return caught.value


def words_of(command: str) -> list[str]:
    python, dash, program, *words = shlex.split(command)
    assert (python, dash, program) == ("python", "-m", "sweep")
    return words


@pytest.mark.long
@pytest.mark.parametrize(("typed", "instead"), [*MULTIRUN, *FLAGS, *SWEEPER])
def test_old_spelling_is_answered_with_a_command_that_composes(
    typed: str, instead: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(typed.split()) == 2
    *_, last = capfd.readouterr().err.splitlines()
    words = words_of(last.partition("way out: ")[2])
    assert words == instead.split()
    assert load_settings(words)[0].name


@pytest.mark.long
@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("-m search=grid,random lora.r=4,8", "sweep_{}"),
        ("-m +experiment=lora_grid search=grid,random", "lora_grid_{}"),
        ("name=mine search=grid,random", "mine_{}"),
    ],
)
def test_what_is_no_part_of_a_training_takes_a_sweep_a_value(typed: str, name: str) -> None:
    lines = answer(typed).way_out.splitlines()
    sweeps = [load_settings(words_of(line.strip()))[0] for line in lines]
    assert [sweep.search.sampler for sweep in sweeps] == ["grid", "random"]
    assert [sweep.name for sweep in sweeps] == [name.format("grid"), name.format("random")]


def test_several_experiments_are_several_commands() -> None:
    lines = answer("+experiment=lora_grid,lora_tpe").way_out.splitlines()
    assert [words_of(line.strip()) for line in lines] == [
        ["+experiment=lora_grid"],
        ["+experiment=lora_tpe"],
    ]


def test_own_flags_stay_in_the_new_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(tmp_path / "내 설정")
    assert run_command(["--cfg", "-m", "--config-dir", folder, "lora.r=4,8"]) == 2
    *_, last = capfd.readouterr().err.splitlines()
    words = words_of(last.partition("way out: ")[2])
    assert words == ["--cfg", "--config-dir", folder, "search.space={lora.r:[4,8]}"]


@pytest.mark.parametrize("flag", ["-cd", "-cp", "--config-path"])
def test_folder_of_configurations_has_another_flag_here(
    flag: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command([flag, str(tmp_path), "lora.r=4"]) == 2
    *_, last = capfd.readouterr().err.splitlines()
    args = make_parser().parse_args(["run", *words_of(last.partition("way out: ")[2])])
    assert (args.config_dir, args.overrides) == (tmp_path, ["lora.r=4"])


@pytest.mark.parametrize("typed", ["lora.rank=4,8", "lora.rnk=4,8"])
def test_unknown_name_with_several_values_is_still_a_slip(typed: str) -> None:
    assert "did you mean `lora.r`" in answer(typed).way_out


@pytest.mark.parametrize(
    "words", [["name='a,b'"], ["lora.target_modules=[query,value]"], ["experiment=lora_grid"]]
)
def test_what_only_looks_like_it_is_taken(words: list[str]) -> None:
    assert load_settings(words)[0].name


HYDRA = """\
# @package _global_
defaults:
  - override /hydra/sweeper: optuna
  - _self_
name: 찾기
lora: {lora_alpha: 16}
hydra:
  mode: MULTIRUN
  sweeper:
    n_trials: 20
    sampler: {_target_: optuna.samplers.RandomSampler, seed: 3}
    params:
      lora.r: 4,8
      trainer.learning_rate: tag(log,interval(1e-4,1e-2))
"""


@pytest.mark.parametrize("way", ["path", "name"])
def test_experiment_with_hydra_s_sweeper_is_answered_with_the_same_search(
    way: str, tmp_path: Path
) -> None:
    path = tmp_path / "experiment" / "찾기.yaml"
    path.parent.mkdir()
    path.write_text(HYDRA, encoding="utf-8")
    argument, folder = (str(path), None) if way == "path" else (path.stem, tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings([f"+experiment={argument}"], config_dir=folder)
    assert "`hydra.mode=MULTIRUN` (nothing like it is needed)" in str(caught.value.value)
    words = words_of(caught.value.way_out.partition("in the file: ")[2])
    rest = HYDRA[: HYDRA.index("hydra:\n")].replace("  - override /hydra/sweeper: optuna\n", "")
    path.write_text(rest, encoding="utf-8")
    settings, _ = load_settings(words, config_dir=folder)
    search = settings.search
    assert (settings.name, settings.lora.lora_alpha) == ("찾기", 16)
    assert (search.sampler, search.n_trials, search.sampler_seed) == ("random", 20, 3)
    assert search.space == {
        "lora.r": [4, 8],
        "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    }


WANDB = """\
program: train.py
method: bayes
metric: {name: eval/pearson, goal: maximize}
project: lora
run_cap: 30
early_terminate: {type: hyperband, min_iter: 3}
command: [python, '${program}', '${args}']
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1e-4, max: 1e-2}
  lora: {parameters: {r: {values: [4, 8]}, lora_alpha: {value: 16}}}
  lora.lora_dropout: {min: 0.0, max: 0.3}
  weight_decay: {distribution: q_uniform, min: 0.0, max: 0.1, q: 0.05}
  warmup_ratio: {distribution: log_uniform, min: -4.60517, max: -2.302585}
  epochs: 2
  seed: {values: [0, 1]}
  target_modules: {values: [qv, all-linear]}
  colour: {values: [red, blue]}
  adam_beta1: {distribution: normal, mu: 0.9, sigma: 0.01}
"""


@pytest.mark.parametrize("way", ["path", "name", "bare"])
def test_sweep_of_wandb_is_answered_with_the_same_search(
    way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "experiment" / "검색.yaml"
    path.parent.mkdir()
    path.write_text(WANDB, encoding="utf-8")
    if way == "bare":
        assert run_command(["sweep", str(path)]) == 2
        assert f"+experiment={path}" in capfd.readouterr().err
        return
    argument, folder = (str(path), None) if way == "path" else (path.stem, tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings([f"+experiment={argument}"], config_dir=folder)
    assert "검색.yaml" in caught.value.rule
    for key in ("method", "metric", "parameters", "program", "colour", "adam_beta1"):
        assert f"`{key}`" in str(caught.value.value)
    settings, _ = load_settings(words_of(caught.value.way_out))
    assert (settings.name, settings.tracking.project) == ("검색", "lora")
    search = settings.search
    assert (search.sampler, search.n_trials, search.pruner) == ("tpe", 30, "hyperband")
    assert search.seeds == (0, 1)
    assert (settings.lora.lora_alpha, settings.trainer.num_train_epochs) == (16, 2)
    assert search.space == {
        "trainer.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "lora.r": [4, 8],
        "lora.lora_dropout": {"low": 0, "high": 0.3},
        "trainer.weight_decay": {"low": 0, "high": 0.1, "step": 0.05},
        "trainer.warmup_steps": {"low": 0.01, "high": 0.1, "log": True},
        "lora.target_modules": ["qv", "all-linear"],
    }


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_every_method_of_wandb_has_a_sampler(method: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"method: {method}\nparameters: {{rank: {{values: [4, 8]}}}}\n", "utf-8")
    settings, _ = load_settings(words_of(answer(f"+experiment={path}").way_out))
    assert settings.search.sampler == {"bayes": "tpe"}.get(method, method)
    assert settings.space.keys == ("lora.r",)


def test_agent_of_wandb_is_no_verb(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["agent", "team/project/abc"]) == 2
    said = capfd.readouterr().err
    assert "a sweep is started by this program" in said
    assert "python -m sweep +experiment=" in said
