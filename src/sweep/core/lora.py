"""LoRA's settings: the part of a recipe under `lora`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sweep.core.patterns import Pattern
from sweep.core.words import variant_name

#: Keys that came after the first studies: at these values, they leave a config the id that it had.
_LATER: dict[str, Any] = {
    "lr_ratio": 1.0,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": (),
}


@dataclass(frozen=True)
class Lora:
    """LoRA settings, named as in `peft.LoraConfig`."""

    r: int = 8
    lora_alpha: int | float = 16
    lora_dropout: float = 0.1
    #: `qv`, `qkv`, `attention`, `mlp`, `all-linear`, `auto`, a list of names, or a regex.
    target_modules: str | tuple[str, ...] = "qv"
    use_rslora: bool = False
    use_dora: bool = False
    bias: Literal["none", "all", "lora_only"] = "none"
    init_lora_weights: bool | str = True
    layers_to_transform: int | tuple[int, ...] | None = None
    #: LoRA+ (arXiv:2402.12354): the learning rate of B, and of biases, over that of A and the
    #: head's weights, as PEFT's `create_loraplus_optimizer` has it. 1 is LoRA.
    lr_ratio: float = 1.0
    #: Layers with a rank, or an alpha, of their own: a name, the end of a path or a regular
    #: expression for it to the number (`{query: 4, "layer.0.attention.self.value": 16}`).
    rank_pattern: dict[str, int] | None = field(default_factory=Pattern)
    alpha_pattern: dict[str, int | float] | None = field(default_factory=Pattern)
    #: Modules of the base that are trained in full beside the head, as `[LayerNorm]`.
    modules_to_save: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rank_pattern", "alpha_pattern"):
            given = getattr(self, name)
            # What is no mapping is refused where types are checked.
            if given is None or isinstance(given, Mapping):
                object.__setattr__(self, name, Pattern(given or {}))

    @property
    def scaling(self) -> float:
        """Factor on B·A: alpha/r, or alpha/sqrt(r) with rsLoRA (arXiv:2312.03732); that of the
        layers that no pattern names."""
        return self._scaled(self.lora_alpha, self.r)

    def rank_at(self, path: str) -> int:
        """The rank of the layer of this path."""
        return int(Pattern(self.rank_pattern or {}).at(path, self.r))

    def scaling_at(self, path: str) -> float:
        """The factor on B·A of the layer of this path."""
        alpha = Pattern(self.alpha_pattern or {}).at(path, self.lora_alpha)
        return self._scaled(alpha, self.rank_at(path))

    @property
    def variant(self) -> str:
        """What people call it: `LoRA`, `DoRA`, `rsLoRA, LoRA+`, `LoRA, olora start`."""
        return variant_name({f"lora.{name}": value for name, value in vars(self).items()})

    @property
    def targets_label(self) -> str:
        """Short text for tables: the preset, or the names joined by `+`."""
        targets = self.target_modules
        return targets if isinstance(targets, str) else "+".join(targets)

    @property
    def identity(self) -> dict[str, Any]:
        """What tells trainings apart, and no more: with rsLoRA another alpha may give the same
        factor on B·A, hence the same training."""
        content = dataclasses.asdict(self)
        for name, usual in _LATER.items():
            if content[name] == usual:
                del content[name]
        if self.use_rslora and not (self.rank_pattern or self.alpha_pattern):
            alpha = round(self.scaling * self.r, 9)
            content |= {"use_rslora": False, "lora_alpha": alpha}
        return content

    def _scaled(self, alpha: float, r: int) -> float:
        return alpha / (math.sqrt(r) if self.use_rslora else r)
