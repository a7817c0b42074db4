"""One step that is tried before any run: what fails in it is told once, and nothing is begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from command_line import run
from odd_models import bert, words_tokenizer, write_pairs
from sweep.core.errors import ModelError
from sweep.core.recipe import Data, Lora, Model, Recipe, Trainer
from sweep.execute.fresh import in_fresh_process
from sweep.train import first_step
from sweep.train.first_step import try_first_step


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return bert(tmp_path / "model")


@pytest.fixture
def own_recipe(model: Path, tmp_path: Path) -> Recipe:
    files = {
        split: str(write_pairs(tmp_path / f"{split}.jsonl", 20, seed, longest=20))
        for seed, split in enumerate(("train", "dev"))
    }
    return Recipe(
        Model(path=str(model)),
        Data(source="files", **files),
        Lora(r=2),
        Trainer(max_steps=4, per_device_train_batch_size=8, precision="fp32"),
    )


def with_third_segments(model: Path) -> None:
    """A tokenizer that numbers the second sentence 2, where the model knows 0 and 1."""
    words_tokenizer(
        model,
        pair="[CLS] $A [SEP] $B:2 [SEP]:2",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def with_holes(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if name.endswith("0.attention.self.query.weight"))
    holes = torch.full_like(weights[name], float("nan"))
    save_file({**weights, name: holes}, model / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("lora", [Lora(r=2), Lora(r=2, use_dora=True)], ids=["packed", "alone"])
def test_step_that_works_says_nothing(own_recipe: Recipe, lora: Lora, precision: str) -> None:
    trainer = replace(own_recipe.trainer, precision=precision)  # type: ignore[arg-type]
    before = torch.get_num_threads()
    try_first_step(replace(own_recipe, lora=lora, trainer=trainer), before)
    assert torch.get_num_threads() == before


def test_step_that_fails_names_model_error_and_place(own_recipe: Recipe, model: Path) -> None:
    with_third_segments(model)
    with pytest.raises(ModelError) as caught:
        in_fresh_process(try_first_step, own_recipe, 1)
    message = str(caught.value)
    assert "every run would fail" in message
    assert "IndexError: index out of range" in message
    assert ".py, line " in message
    assert caught.value.way_out


def test_model_that_answers_with_no_numbers_is_refused(own_recipe: Recipe, model: Path) -> None:
    with_holes(model)
    with pytest.raises(ModelError, match="gives nan before any training, in fp32"):
        try_first_step(own_recipe, 1)


@pytest.mark.long
@pytest.mark.parametrize(
    ("damage", "said"), [(with_third_segments, "every run would fail"), (with_holes, "nan")]
)
def test_no_run_is_begun_that_would_fail(
    damage: object,
    said: str,
    home: Path,
    model: Path,
    own_recipe: Recipe,
    capfd: pytest.CaptureFixture[str],
) -> None:
    damage(model)  # type: ignore[operator]
    data = own_recipe.data
    given = ["data=files", f"data.train={data.train}", f"data.dev={data.dev}", "trainer=smoke"]
    for mode in ("run", "plan"):
        code, _, err = run(
            *given, f"model.path={model}", "tracking=disabled", f"mode={mode}", capfd=capfd
        )
        assert code == 2
        assert said in err
        assert "Traceback" not in err
        assert "tries them again" not in err
    assert not (home / "results").exists()


def test_what_has_trained_in_a_study_is_not_tried_again(
    copied_study: Path,
    study_arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import sweep.config.pairs_in_models as tried

    monkeypatch.setattr(tried, "_try", lambda *_: pytest.fail("tried again"))
    code, out, _ = run(*study_arguments, capfd=capfd)
    assert code == 0
    assert "verified" in out


def test_large_models_are_tried_on_few_rows_of_a_cpu(
    own_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest pairs, not as many as a batch has: a batch of a large model takes a minute."""
    shapes = []

    class Watched(first_step.Collator):
        def __call__(self, rows: Any) -> Any:
            batch = super().__call__(rows)
            shapes.append(tuple(batch["input_ids"].shape))
            return batch

    monkeypatch.setattr(first_step, "Collator", Watched)
    monkeypatch.setattr(first_step, "_TOKENS_ON_CPU", 64)
    wide = replace(own_recipe.trainer, per_device_train_batch_size=10_000)
    try_first_step(replace(own_recipe, trainer=wide), 1)
    rows, length = shapes[0]
    assert 1 <= rows <= max(1, 64 // length)
