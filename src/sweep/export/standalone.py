"""Scores sentence pairs with onnxruntime, tokenizers and numpy alone: `python score.py A B`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

COLUMNS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}


def scorer(folder: Path, threads: int = 0) -> Callable[[Sequence[tuple[str, str]]], Any]:
    """A function from pairs to scores, best called with some dozens of pairs of like length."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # It is there where each sentence is read alone.
    prefix = session.get_modelmeta().custom_metadata_map.get("prefix")

    def score(pairs: Sequence[tuple[str, str]]) -> Any:
        alone = [] if prefix is None else [f"{prefix}{text}" for pair in pairs for text in pair]
        encoded = tokenizer.encode_batch(alone or [tuple(pair) for pair in pairs])
        shape = (len(pairs), 2, -1) if alone else (len(pairs), -1)
        names = [entry.name for entry in session.get_inputs()]
        columns = {name: [getattr(row, COLUMNS[name]) for row in encoded] for name in names}
        feed = {name: np.array(rows, np.int64).reshape(shape) for name, rows in columns.items()}
        return session.run(None, feed)[0]

    return score


if __name__ == "__main__":
    print(float(scorer(Path(__file__).parent)([(sys.argv[1], sys.argv[2])])[0]))
