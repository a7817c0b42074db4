"""The frozen base model: where its weights are, and how they are kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Model:
    """The frozen base model.

    `path` is a Hub name (`klue/roberta-small`), a local folder, or `package:NAME/FOLDER`
    for weights that an installed Python package carries.
    """

    path: str = ""
    #: Branch, tag or commit on the Hub.
    revision: str | None = None
    #: Expected SHA-256 of `model.safetensors`; checked before anything trains.
    sha256: str | None = None
    #: Name on the Hub of a model that is loaded from elsewhere; exported adapters point to it.
    hub_name: str | None = None
    #: How the linear layers of the frozen base are kept: `nf4` in 4 bits (bitsandbytes, with double
    #: quantization), `int8` in 8 (torchao, weights only). Adapters and head never are.
    quantization: Literal["none", "nf4", "int8"] = "none"

    @property
    def in_float(self) -> Model:
        """The same weights as they were saved."""
        return dataclasses.replace(self, quantization="none")

    @property
    def identity(self) -> dict[str, Any]:
        """All fields; what came after the first studies is left out at its default."""
        fields = dataclasses.asdict(self)
        if self.quantization == "none":
            del fields["quantization"]
        return fields
