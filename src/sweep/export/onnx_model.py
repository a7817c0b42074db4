"""A merged model for onnxruntime: token ids in, scores in the units of the labels out."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from sweep.core.errors import ExportError
from sweep.core.optional import trouble_with
from sweep.core.recipe import Data
from sweep.export.merged import speaks_label_units
from sweep.lora.sentence_vectors import SentencePooling, pooled
from sweep.study.onnx_files import OnnxFiles

_NEEDED = ("onnx", "onnxscript", "onnxruntime")
#: A file of the format holds 2 GB at most; larger models keep their weights beside it.
_MOST_BYTES = 1.8e9
#: Pairs of unlike length, more than one: what is 1 in the example would be taken for a constant.
_EXAMPLE = (("a b c", "d"), ("e", "f g"), ("h", "i"))


class Scorer(nn.Module):
    """A model whose outputs are scores `[B]`, of token ids `[B, T]`; of a bi-encoder `[B, 2, T]`.

    Args:
        columns: Names of the inputs, in their order.
        pooling: Of a bi-encoder; None for a cross-encoder.
    """

    def __init__(
        self, model: nn.Module, columns: Sequence[str], data: Data, pooling: SentencePooling | None
    ) -> None:
        super().__init__()
        self._model, self._columns, self._pooling = model, tuple(columns), pooling
        self._low, self._high = (0.0, 1.0) if speaks_label_units(model) else data.label_range

    def forward(self, *inputs: Tensor) -> Tensor:
        """Scores `[B]`."""
        batch = dict(zip(self._columns, inputs, strict=True))
        outputs = (
            self._model(**batch).logits.reshape(-1).float()
            if self._pooling is None
            else self._cosines(batch, self._pooling)
        )
        return self._low + (self._high - self._low) * outputs

    def _cosines(self, batch: Mapping[str, Tensor], pooling: SentencePooling) -> Tensor:
        flat = {name: ids.flatten(0, 1) for name, ids in batch.items()}
        states = self._model(**flat).last_hidden_state.float()
        vectors = pooled(states, flat["attention_mask"].bool(), pooling.mode)
        both = nn.functional.normalize(vectors, dim=-1).view(-1, 2, vectors.shape[-1])
        cosines: Tensor = (both[:, 0] * both[:, 1]).sum(-1)
        return cosines


def refuse_without_onnx() -> None:
    """
    Raises:
        ExportError: a package that writes or reads the format is missing or broken.
    """
    for package in _NEEDED:
        if trouble := trouble_with(package):
            raise ExportError(
                "`--onnx` and `--int8` need onnx, onnxscript and onnxruntime.",
                value=f"{package} {trouble}",
                way_out='pip install "sweep[onnx]"; `--merge` needs neither',
            )


def write_onnx(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    pooling: SentencePooling | None,
    folder: Path,
) -> None:
    """A folder that scores with onnxruntime, tokenizers and numpy alone, by its `score.py`.

    Args:
        model: Merged, in float32.

    Raises:
        ExportError: the tokenizer has no form for other programs than transformers.
    """
    files = OnnxFiles(folder)
    folder.mkdir(parents=True)
    _write_tokenizer(tokenizer, data.max_length, files.tokenizer)
    shutil.copyfile(Path(__file__).with_name("standalone.py"), files.script)
    example = _example(tokenizer, apart=pooling is not None)
    module = Scorer(model, list(example), data, pooling).eval()
    dynamic = dict.fromkeys((0, 2 if pooling else 1), torch.export.Dim.DYNAMIC)
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            module,
            tuple(example.values()),
            input_names=list(example),
            output_names=["scores"],
            dynamic_shapes=(tuple(dynamic for _ in example),),
            dynamo=True,
            verbose=False,
        )
    # Each node says which lines of which files of this machine it comes from.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    if pooling is not None:
        program.model.metadata_props["prefix"] = pooling.prefix
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    program.save(str(files.model), external_data=size > _MOST_BYTES)


def write_int8(onnx_folder: Path, folder: Path) -> None:
    """The same with weights in eight bits, a scale for each channel; inputs are scaled at use.

    Args:
        onnx_folder: Of `write_onnx`.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, files = OnnxFiles(onnx_folder), OnnxFiles(folder)
    folder.mkdir(parents=True)
    for path in (source.tokenizer, source.script):
        shutil.copyfile(path, folder / path.name)
    is_large = sum(path.stat().st_size for path in onnx_folder.iterdir()) > _MOST_BYTES
    with _quiet():
        quantize_dynamic(
            source.model,
            files.model,
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=is_large,
        )


def _write_tokenizer(tokenizer: PreTrainedTokenizerBase, max_length: int, path: Path) -> None:
    """With cutting and padding as in the training, so that nobody has to know of them."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ExportError(
            "A folder for onnxruntime needs a tokenizer that the package tokenizers can load.",
            value=f"{type(tokenizer).__name__} is written in Python",
            way_out="`--merge` writes a folder for transformers",
        )
    whole = Tokenizer.from_str(backend.to_str())
    whole.enable_truncation(max_length, direction=tokenizer.truncation_side)
    whole.enable_padding(
        direction=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_type_id=tokenizer.pad_token_type_id,
        pad_token=tokenizer.pad_token,
    )
    whole.save(str(path))


def _example(tokenizer: PreTrainedTokenizerBase, *, apart: bool) -> dict[str, Tensor]:
    if not apart:
        first, second = map(list, zip(*_EXAMPLE, strict=True))
        return dict(tokenizer(first, second, padding=True, return_tensors="pt"))
    texts = [text for pair in _EXAMPLE for text in pair]
    found = tokenizer(texts, padding=True, return_tensors="pt")
    return {name: ids.view(-1, 2, ids.shape[-1]) for name, ids in found.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """What the libraries say to each other is of no use to who exports."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
