"""What sentence-transformers needs beside a model: how sentences are cut, prefixed and pooled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from sweep.core.files import write_text
from sweep.core.recipe import Recipe
from sweep.export.merged import save_tokenizer
from sweep.lora.model import load_config
from sweep.lora.sentence_vectors import MODULES, POOLING, PROMPTS, pooling_of

_PLACES = (("", "Transformer"), (Path(POOLING).parent.name, "Pooling"))
_MODES = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "last": "pooling_mode_lasttoken",
}
#: The name of the prefix; sentence-transformers takes it for queries, and here by default.
_PROMPT = "query"


def write_sentence_folder(folder: Path, tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
    """Make the folder of a recipe's model or adapter one that `SentenceTransformer(folder)` takes.

    Each sentence is cut, prefixed and pooled as in the training.
    """
    max_length = recipe.data.max_length
    save_tokenizer(tokenizer, folder, max_length)
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(_PLACES)
    ]
    pooling, width = pooling_of(recipe.model), load_config(recipe.model).hidden_size
    modes = {key: mode == pooling.mode for mode, key in _MODES.items()}
    prefix = pooling.prefix
    files: dict[str, Any] = {
        MODULES: modules,
        POOLING: {"word_embedding_dimension": width, **modes},
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        PROMPTS: {
            "prompts": {_PROMPT: prefix} if prefix else {},
            "default_prompt_name": _PROMPT if prefix else None,
            "similarity_fn_name": "cosine",
        },
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_text(folder / name, json.dumps(content, indent=2, ensure_ascii=False))
