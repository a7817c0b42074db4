"""Targets by meaning: which layers of a model LoRA adapts, resolved before anything trains.

`lora.target_modules` is one of the `PRESETS`, a list of names, or a regular expression. As in
PEFT, a name means the module of that path and every path that ends in `.name`, and an expression
must fit a whole path. PEFT is then given full paths, so that nothing is matched a second time.

Only `nn.Linear` and transformers' `Conv1D` of the pretrained base are adapted; other modules that a
name or an expression fits as well are passed over, and a name that fits base and head means the
base. Where one layer computes query, key and value, `qv` means that layer, key included.
`all-linear` adapts the poolers of BERT and ALBERT, as PEFT's own `all-linear` does; no other
preset does. A bi-encoder has no head and uses no pooler, so that neither is adapted there.

torch, transformers and peft are imported where they are used: `PRESETS` costs no import of them.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sweep.core.errors import TargetError
from sweep.lora.anatomy import Anatomy, TargetLayer, dissect, is_part_of
from sweep.lora.roles import fits, roles_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Preset -> its meaning in one line.
PRESETS: Mapping[str, str] = {
    "qv": "query and value projections of every attention",
    "qkv": "query, key and value projections of every attention",
    "attention": "query, key, value and output projections of every attention",
    "mlp": "every linear layer of the feed-forward blocks",
    "all-linear": "every linear layer of the pretrained model, its pooler included",
    "auto": "PEFT's own default for the model type, or qv where PEFT has none",
}

_PRESET_ROLES = {"qv": ["query", "value"], "qkv": ["query", "key", "value"], "mlp": ["mlp"]}
_PRESET_ROLES["attention"] = [*_PRESET_ROLES["qkv"], "output"]

#: The number of a block in the path of a layer: the first one, as PEFT reads it.
_BLOCK = re.compile(r".*?\.[^.]*\.(?P<number>\d+)\.")


@dataclass(frozen=True)
class ResolvedTargets:
    """What `peft.LoraConfig` is to be told about one model.

    Args:
        layers: The adapted layers, at least one, in the model's order.
        head: Modules that are trained in full; for `modules_to_save`. Top-level ones, then what the
            checkpoint lacks of the base, by its full path.
        fan_in_fan_out: Whether the layers are Conv1D, whose weights are stored transposed.
        head_params: Parameters of the head.
        note: What a preset means here, where that is not just what its name says.
        inside: Path of the module that the adapters are put on; empty for the whole model.
    """

    layers: tuple[TargetLayer, ...]
    head: tuple[str, ...]
    fan_in_fan_out: bool
    head_params: int
    note: str = ""
    inside: str = ""

    @property
    def names(self) -> list[str]:
        """Paths of the adapted layers in what the adapters are put on; for `target_modules`."""
        return [layer.name.removeprefix(f"{self.inside}.") for layer in self.layers]

    def lora_params(self, r: int | Sequence[int]) -> int:
        """Parameters that adapters of rank `r` add, or of one rank a layer; without the head."""
        ranks = [r] * len(self.layers) if isinstance(r, int) else r
        sizes = [layer.in_features + layer.out_features for layer in self.layers]
        return sum(rank * size for rank, size in zip(ranks, sizes, strict=True))

    def only(self, wanted: Iterable[bool]) -> ResolvedTargets:
        """A part of the layers."""
        return replace(self, layers=tuple(itertools.compress(self.layers, wanted)))


def resolve_targets(
    model: PreTrainedModel,
    target_modules: str | Sequence[str],
    *,
    layers: int | Collection[int] | None = None,
    lacking: Collection[str] = (),
    headless: bool = False,
) -> ResolvedTargets:
    """The layers of `model` that `target_modules` means.

    Args:
        model: A sequence classifier, such as an `outline`; it is only looked at.
        target_modules: A preset, a list of names, or a regular expression.
        layers: Numbers of the blocks to adapt, `lora.layers_to_transform`; None means all, and what
            is in no block as well.
        lacking: Paths of the modules that the checkpoint has no weights for.
        headless: Adapters are put on the pretrained base alone, which is used without a head and
            without its pooler.

    Raises:
        TargetError: A preset the model has no layers for, a name that fits no linear layer of the
            base, an expression that is invalid or fits none, a number that no block with such
            layers has, or a head PEFT cannot single out.
        ModelError: The checkpoint lacks more of the base than its pooler.
    """
    anatomy = dissect(model, lacking, headless=headless)
    chosen = _chosen(anatomy, target_modules)
    if layers is not None:
        chosen = _in_blocks(chosen, {layers} if isinstance(layers, int) else set(layers))
    return ResolvedTargets(
        layers=tuple(layer for name, layer in anatomy.linear.items() if name in chosen),
        head=() if headless else anatomy.head,
        fan_in_fan_out=any(anatomy.kinds[name] == "Conv1D" for name in chosen),
        head_params=0 if headless else anatomy.head_params,
        note=_note(anatomy, target_modules, chosen),
        inside=anatomy.prefix if headless else "",
    )


def _chosen(anatomy: Anatomy, asked: str | Sequence[str]) -> set[str]:
    wanted = _default(anatomy) if asked == "auto" else asked
    if wanted == "all-linear":
        return set(anatomy.linear)
    if isinstance(wanted, str):
        by = _by_role if wanted in _PRESET_ROLES else _by_expression
        return by(anatomy, wanted)
    return _by_names(anatomy, [str(name) for name in wanted])


def _note(anatomy: Anatomy, asked: str | Sequence[str], chosen: Collection[str]) -> str:
    """`qv is Wqkv, which computes query, key, value at once`, or what auto falls back on."""
    is_new = asked == "auto" and _peft_default(anatomy) is None
    notes = [f"auto is qv: PEFT has no default for {anatomy.model_type}"] if is_new else []
    preset = "qv" if is_new else asked
    if isinstance(preset, str) and preset in ("qv", "qkv"):
        roles = roles_of(chosen)
        wide = {p.split(".")[-1]: roles[p] for p in chosen if roles[p] - {*_PRESET_ROLES[preset]}}
        notes += [
            f"{preset} is {name} here, which computes {', '.join(sorted(wide[name]))} at once"
            for name in sorted(wide)
        ]
    return "; ".join(notes)


def check_rank(targets: ResolvedTargets, r: int) -> None:
    """Refuse a rank below 1, or one above the smaller side of an adapted layer.

    Raises:
        TargetError: Names the narrowest layer, its shape, and the highest rank that fits.
    """
    narrow = min(targets.layers, key=lambda layer: min(layer.in_features, layer.out_features))
    limit = min(narrow.in_features, narrow.out_features)
    if not 1 <= r <= limit:
        raise TargetError(
            "lora.r must be at least 1 and at most the smaller side of every adapted layer",
            value=f"lora.r = {r}; {narrow.name} is {narrow.in_features} x {narrow.out_features}",
            way_out=f"choose lora.r from 1 to {limit}; for more, leave that layer out",
        )


def _by_role(anatomy: Anatomy, preset: str) -> set[str]:
    wanted, roles = _PRESET_ROLES[preset], roles_of(anatomy.linear)
    there = frozenset[str]().union(*roles.values())
    if missing := ", ".join(role for role in wanted if role not in there):
        rule = f"{preset} needs {', '.join(wanted)} layers of a known name"
        raise _refusal(anatomy, rule, f"{anatomy.model_type} has none for {missing}")
    return {path for path, own in roles.items() if own & {*wanted}}


def _default(anatomy: Anatomy) -> str | Sequence[str]:
    found = _peft_default(anatomy)
    return "qv" if found is None else found


def _peft_default(anatomy: Anatomy) -> str | Sequence[str] | None:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as DEFAULTS

    found: str | Sequence[str] | None = DEFAULTS.get(anatomy.model_type)
    return found


def _by_names(anatomy: Anatomy, names: Sequence[str]) -> set[str]:
    rule = "every name in lora.target_modules must fit a linear layer of the pretrained model"
    hits = {name: {path for path in anatomy.kinds if fits(path, name)} for name in names}
    return _linear_among(anatomy, rule, hits)


def _by_expression(anatomy: Anatomy, expression: str) -> set[str]:
    rule = "lora.target_modules must be a preset, a list, or a regular expression for whole paths"
    try:
        hits = {path for path in anatomy.kinds if re.fullmatch(expression, path)}
    except re.error as error:
        raise _refusal(anatomy, rule, f"{expression!r} is not valid: {error}") from error
    return _linear_among(anatomy, rule, {expression: hits})


def _linear_among(anatomy: Anatomy, rule: str, hits: Mapping[str, set[str]]) -> set[str]:
    """The linear layers of the base among `hits`, refused if what was asked has none there."""
    wrong = [
        f"{asked!r} {_why_not(anatomy, asked, paths)}"
        for asked, paths in hits.items()
        if paths.isdisjoint(anatomy.linear)
    ]
    if wrong or not hits:
        raise _refusal(anatomy, rule, "; ".join(wrong) or "an empty list")
    return set().union(*hits.values()) & set(anatomy.linear)


def _in_blocks(chosen: Collection[str], numbers: Collection[int]) -> set[str]:
    """The layers in blocks of these numbers, refused unless each number has some."""
    blocks: dict[int, set[str]] = {}
    for path in chosen:
        if found := _BLOCK.match(path):
            blocks.setdefault(int(found["number"]), set()).add(path)
    unknown = sorted(set(numbers) - set(blocks))
    if unknown or not numbers:
        there = (
            ", ".join(map(str, sorted(blocks))) or "none: these layers are not in numbered blocks"
        )
        raise TargetError(
            "every number in lora.layers_to_transform must be that of a block with layers to adapt",
            value=", ".join(map(str, unknown)) or "an empty list",
            way_out=f"numbers that are there: {there}; null adapts all blocks",
        )
    return set().union(*(blocks[number] for number in numbers))


def _why_not(anatomy: Anatomy, asked: str, hits: set[str]) -> str:
    """Why `asked`, which fits the paths `hits`, means no layer that can be adapted."""
    if kinds := {anatomy.kinds[path] for path in hits if not is_part_of(path, anatomy.head)}:
        return f"fits no linear layer, only {', '.join(sorted(kinds))}"
    if hits and anatomy.headless:
        return "is in the head or the pooler, which a bi-encoder does without"
    if hits:
        return "is in the head, which is always trained in full and never adapted"
    if asked in PRESETS:
        return "is a preset, which stands alone and not in a list"
    if asked in anatomy.endings(asked.count(".") + 1):
        return f"is a name, which stands in a list: [{asked}]"
    # Of an expression, its last word is compared: `value` is close to `.*\.(query|vlaue)`.
    word = asked if re.fullmatch(r"[\w.]+", asked) else re.split(r"\W+", asked.rstrip(")$*+?"))[-1]
    candidates = anatomy.endings(word.count(".") + 1) | set(PRESETS)
    nearest = difflib.get_close_matches(word, sorted(candidates), n=1)
    return "fits no module" + (f" (nearest: {nearest[0]!r})" if nearest else "")


def _refusal(anatomy: Anatomy, rule: str, value: str) -> TargetError:
    """An error whose way out names all that this model has."""
    presets, layers = ", ".join(_possible(anatomy)), ", ".join(sorted(anatomy.endings(1)))
    way_out = f"a preset ({presets}) or a list of linear layers of the pretrained model: "
    what = "nn.Linear and Conv1D can be adapted; embeddings and norms cannot"
    return TargetError(rule, value=value, way_out=f"{way_out}{layers}. {what}")


def _possible(anatomy: Anatomy) -> list[str]:
    """The presets that mean something in this model."""
    there = frozenset[str]().union(*roles_of(anatomy.linear).values())
    by_role = {preset: {*roles} <= there for preset, roles in _PRESET_ROLES.items()}
    has_default = _peft_default(anatomy) is not None or by_role["qv"]
    return [preset for preset in PRESETS if by_role.get(preset, preset != "auto" or has_default)]
