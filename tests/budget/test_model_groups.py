"""Every group of `conf/model` at its true size, by its configuration and without weights."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers as tf

from command_line import run
from pages import ROOT
from sweep.budget.packs import expected_packs
from sweep.budget.plan import PlannedRun
from sweep.budget.workload import Workload
from sweep.commands.build import workers_of
from sweep.config.compose import load_settings
from sweep.lora.anatomy import outline
from sweep.lora.model import locate
from sweep.lora.packable import why_alone

pytestmark = pytest.mark.long

_ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_SMALL = {**_ROBERTA, "vocab_size": 32000, "num_hidden_layers": 6}
_QWEN: dict[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": True,
}
#: Configurations by their published sizes, and what a rank of q and v takes: inputs and outputs.
GROUPS: dict[str, tuple[tf.PretrainedConfig, int]] = {
    "klue_roberta_small": (tf.RobertaConfig(**_SMALL), 6 * 2 * (768 + 768)),
    "klue_roberta_base": (
        tf.RobertaConfig(**_ROBERTA, vocab_size=32000),
        12 * 2 * (768 + 768),
    ),
    "roberta_base": (tf.RobertaConfig(**_ROBERTA, vocab_size=50265), 12 * 2 * (768 + 768)),
    # One fused layer for q, k and v.
    "modernbert": (tf.ModernBertConfig(), 22 * (768 + 3 * 768)),
    "qwen3": (tf.Qwen3Config(**_QWEN), 28 * (1024 + 2048 + 1024 + 1024)),
}
#: MB of the base in float32, as its number of parameters has it.
BASE_MB = {
    "klue_roberta_small": 270,
    "klue_roberta_base": 440,
    "roberta_base": 496,
    "modernbert": 596,
    "qwen3": 2384,
}


def test_every_group_without_weights_of_its_own_is_here() -> None:
    groups = {path.stem for path in (ROOT / "conf" / "model").glob("*.yaml")}
    assert groups == {*GROUPS, "minilm"}


@pytest.mark.parametrize("group", GROUPS)
def test_sizes_and_packs_need_no_numbers(group: str, tmp_path: Path) -> None:
    config, a_rank = GROUPS[group]
    config.save_pretrained(tmp_path)
    write_names(config, tmp_path / "model.safetensors")
    settings = load_settings(
        [
            *("+experiment=lora_grid", f"model={group}", f"model.path={tmp_path}"),
            *("trainer.precision=fp32", "executor.workers=2"),
        ]
    )[0]
    load = Workload.of(settings)
    for point, recipe in load.configs:
        planned = PlannedRun(point, recipe, 0.0, None, fits=True)
        lora, head = planned.num_parameters
        assert planned.base_memory_mb == pytest.approx(BASE_MB[group], rel=0.02)
        assert head > 0
        assert why_alone(recipe) is None
        if recipe.lora.target_modules == "qv":
            assert lora == recipe.lora.r * a_rank
        else:
            assert lora > recipe.lora.r * a_rank
    # As on a machine with memory for it.
    workers = replace(workers_of(settings), pack_size=4)
    packs = expected_packs(load, workers)
    assert sum(map(len, packs)) == len(load.configs)
    assert max(map(len, packs)) == 4


@pytest.mark.skipif("SWEEP_PLANS" not in os.environ, reason="minutes a model: `make test-plans`")
@pytest.mark.parametrize("group", GROUPS)
def test_plan_of_its_true_size_comes_to_an_end(
    group: str, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = home / "models" / group
    GROUPS[group][0].save_pretrained(folder)
    minilm = load_settings([])[0].model.path
    tf.AutoTokenizer.from_pretrained(locate(minilm)).save_pretrained(folder)
    asked = ["+experiment=lora_grid", f"model={group}", f"model.path={folder}", "mode=plan"]
    code, out, err = run(*asked, "--json", capfd=capfd)
    assert code == 0, err
    found = json.loads(out)
    assert found["runs"] == 8
    for config in found["configs"]:
        assert config["seconds"] > 0
        assert config["lora_params"] > 0
        assert config["peak_memory_mb"] > BASE_MB[group]


def write_names(config: tf.PretrainedConfig, path: Path) -> None:
    """A file of weights with all names and shapes of the base, and no bytes on the disk."""
    net, place = outline(config), 0
    prefix = f"{net.base_model_prefix}."
    header: dict[str, Any] = {}
    for name, weight in net.named_parameters():
        if name.startswith(prefix):
            size = 4 * weight.numel()
            spans = [place, place + size]
            header[name] = {"dtype": "F32", "shape": list(weight.shape), "data_offsets": spans}
            place += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + place)
