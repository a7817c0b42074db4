"""Exported folders, used where nothing of the training is left: a child imports this alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer

from sweep.core.arrays import Floats
from sweep.export.exported import predicted, read_recipe
from sweep.export.merged import load_merged
from sweep.export.predicting import predict
from sweep.study.files import ExportedFiles
from windows import load_unscored


def reloaded(folders: Sequence[Path], pairs_file: Path) -> list[tuple[Floats, Floats]]:
    """What each folder's adapter and each folder's merged model score, in the labels' units."""
    return [
        (
            predict(folder, pairs_file, {}, tell=lambda _: None)["prediction"].to_numpy(),
            _by_merged(folder, pairs_file),
        )
        for folder in folders
    ]


def _by_merged(folder: Path, pairs_file: Path) -> Floats:
    merged, data = ExportedFiles(folder).merged, read_recipe(folder).data
    pairs = load_unscored(pairs_file, data, tell=lambda _: None)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    return predicted(load_merged(merged), pairs, tokenizer, data)
