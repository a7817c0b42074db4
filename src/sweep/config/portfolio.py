"""Points that a search starts with: named one by one, or a portfolio of published ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sweep.core.errors import ConfigError
from sweep.core.fingerprint import fingerprint
from sweep.core.words import label_of, name_of
from sweep.space.points import point_of
from sweep.space.space import Params, Space

#: As `search.start_with` has it: entries by dimension or key, or the portfolio.
StartWith = tuple[dict[str, Any], ...] | Literal["portfolio"]

_QV_AT_8: Mapping[str, Any] = {"lora.r": 8, "lora.lora_alpha": 16, "lora.target_modules": "qv"}
_RATE, _TARGETS = "trainer.learning_rate", "lora.target_modules"


@dataclass(frozen=True)
class Published:
    """A config that somebody has published as a good one, as far as they name it."""

    name: str
    values: Mapping[str, Any]
    source: str


#: What a published config leaves open is as in the base recipe.
PORTFOLIO = (
    Published(
        "LoRA on STS-B, RoBERTa-base",
        {**_QV_AT_8, _RATE: 4e-4},
        "arXiv:2106.09685, roberta_base_stsb.sh of microsoft/LoRA",
    ),
    Published(
        "LoRA on STS-B, RoBERTa-large",
        {**_QV_AT_8, _RATE: 3e-4},
        "arXiv:2106.09685, roberta_large_stsb.sh of microsoft/LoRA",
    ),
    Published(
        "all linear layers at r 16",
        {"lora.r": 16, _TARGETS: "all-linear"},
        "arXiv:2405.09673, its advice: all modules, r 16",
    ),
    Published(
        "AdaLoRA's rate on STS-B, all linear layers",
        {_TARGETS: "all-linear", _RATE: 2.2e-3},
        "arXiv:2303.10512, run_debertav3_stsb.sh of QingruZhang/AdaLoRA",
    ),
    Published(
        "QLoRA",
        {"lora.r": 64, "lora.lora_alpha": 16, _TARGETS: "all-linear", _RATE: 2e-4},
        "arXiv:2305.14314, finetune_guanaco_7b.sh of artidoro/qlora",
    ),
)


@dataclass(frozen=True)
class Start:
    """Points to try first; of the portfolio, what they are, and what lies outside of the space."""

    points: tuple[Params, ...] = ()
    taken: tuple[Published, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """For people: each published point with its source, and why others are left out."""
        return [
            *(f"       {one.name} ({one.source})" for one in self.taken),
            *(f"       left out: {name}, for {why}" for name, why in self.left_out.items()),
        ]


def start_of(start_with: StartWith, space: Space, base: Callable[[str], Any]) -> Start:
    """The points of `search.start_with`.

    Args:
        base: The value under a dotted key in the base recipe.

    Raises:
        ConfigError: an entry is no point of the space; points of the portfolio are left out then.
    """
    if start_with != "portfolio":
        subject = "An entry of `search.start_with`"
        points = [point_of(space, base, entry, subject=subject) for entry in start_with]
        return Start(tuple(points))
    found: dict[str, tuple[Params, Published]] = {}
    left_out = {}
    for published in PORTFOLIO:
        try:
            point = _placed(published, space, base)
        except ConfigError as error:
            left_out[published.name] = str(error.value)
        else:
            found.setdefault(fingerprint(point), (point, published))
    points = [point for point, _ in found.values()]
    return Start(tuple(points), tuple(published for _, published in found.values()), left_out)


def _placed(published: Published, space: Space, base: Callable[[str], Any]) -> Params:
    """The point of the space that it is.

    Raises:
        ConfigError: the space has no such point.
    """
    fixed = dict(space.constants)
    searched = {key: value for key, value in published.values.items() if key in space.keys}
    for key in published.values.keys() - searched.keys():
        here, there = fixed.get(key, base(key)), published.values[key]
        if not _is_same(here, there):
            raise ConfigError(
                "A published config must lie in the space.",
                value=f"it has {name_of(key)} {label_of(there)}, this sweep {label_of(here)}",
            )
    return point_of(space, base, searched, subject="A published config")


def _is_same(here: object, there: object) -> bool:
    if isinstance(here, (int, float)) and isinstance(there, (int, float)):
        return float(here) == float(there)
    return label_of(here) == label_of(there)


def start_words(start: Start, start_with: StartWith) -> str:
    """`4 published configs`; empty where there is none."""
    count = len(start.points)
    many = f"{count} config{'s' * (count != 1)}"
    if start_with == "portfolio":
        return f"{many.replace('config', 'published config')}:"
    return f"{many} of search.start_with" if count else ""
