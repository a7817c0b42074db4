"""A form of an export that scores without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OnnxFiles:
    """A model that scores by itself: `onnx/` or `int8/` of an exported folder."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def script(self) -> Path:
        return self.folder / "score.py"
