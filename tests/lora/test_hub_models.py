"""Models of the Hub that lie in the local cache; there is no network here."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from sweep.core.recipe import Model
from sweep.lora.model import weights_digest

COMMITS = {"main": "a" * 40, "older": "b" * 40}


@pytest.fixture
def hub_model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a model whose two commits are in the cache."""
    cached = tmp_path / "models--team--tiny"
    (cached / "refs").mkdir(parents=True)
    for revision, commit in COMMITS.items():
        (cached / "refs" / revision).write_text(commit)
        shutil.copytree(tiny_model, cached / "snapshots" / commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return "team/tiny"


@pytest.mark.parametrize("revision", [None, "main", "older", COMMITS["older"]])
def test_weights_of_a_hub_model_are_known_by_their_commit(
    hub_model: str, revision: str | None
) -> None:
    digest = weights_digest(Model(path=hub_model, revision=revision))
    assert digest == COMMITS.get(revision or "main", revision)
