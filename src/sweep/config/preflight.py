"""Everything that can be checked before training is, in seconds and without memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweep.config.classes import check_metric, with_settled_classes
from sweep.config.in_common import common_line
from sweep.config.pairs_in_models import look_at_pairs, try_steps
from sweep.config.portfolio import start_words
from sweep.config.quantized import base_in_words, refuse_unquantizable
from sweep.config.schema import SearchSettings, Settings
from sweep.core.arrays import Floats
from sweep.core.errors import ConfigError
from sweep.core.recipe import Data, Lora, Model, Recipe
from sweep.core.words import label_of
from sweep.data.findings import Guard, Split
from sweep.data.guard import guard
from sweep.data.pairs import Pairs, judged_by, load_split
from sweep.lora.adapting import trained_in_full
from sweep.lora.eva import check_eva
from sweep.lora.model import targets_in, weights_digest
from sweep.lora.packable import why_alone
from sweep.lora.patterns import check_patterns, layer_ranks
from sweep.lora.sentence_vectors import pooling_of
from sweep.space.space import Space
from sweep.train.optimizer_check import check_optimizer
from sweep.train.precision import resolve_precision


@dataclass(frozen=True)
class Preflight:
    """What the checks have found out.

    `fingerprints` tell changed data or weights from the same; `facts` are lines for people.
    """

    dev_labels: Floats
    fingerprints: dict[str, str]
    #: Pairs by split.
    sizes: dict[str, int]
    facts: tuple[str, ...]
    guard: Guard


def settled(settings: Settings) -> Settings:
    """What is decided once, for all runs on all workers: the precision, and the classes.

    Raises:
        UserMistake: neither can be decided.
    """
    return with_settled_precision(with_settled_classes(settings))


def with_settled_precision(settings: Settings) -> Settings:
    """`trainer.precision: auto` decided once, for all runs on all workers.

    Raises:
        ConfigError: 16 bits are asked for, and a config trains weights of the base, which are too
            coarse in 16 bits to be moved by small steps.
    """
    trainer, recipes = settings.trainer, [recipe for _, recipe in settings.points()]
    precision = resolve_precision(trainer.precision, use_cpu=trainer.use_cpu)
    trained = next(filter(None, (_of_the_base(recipe.lora) for recipe in recipes)), None)
    if precision != "fp32" and trained is not None:
        if trainer.precision != "auto":
            raise ConfigError(
                f"`trainer.precision={precision}` needs a base that is frozen.",
                value=f"{trained}, which trains weights of the base",
                way_out="set `trainer.precision=fp32`; or `lora.bias=none` and "
                "`lora.modules_to_save=[]`",
            )
        precision = "fp32"
    return replace(settings, trainer=replace(trainer, precision=precision))


def _of_the_base(lora: Lora) -> str | None:
    """The setting that trains weights of the base; None where it stays frozen."""
    if lora.bias != "none":
        return f"lora.bias={lora.bias}"
    return (
        f"lora.modules_to_save={label_of(lora.modules_to_save)}" if lora.modules_to_save else None
    )


def preflight(settings: Settings) -> Preflight:
    """Check model, data and every config of a grid (or the corners of a space).

    Raises:
        UserMistake: the first thing that would have stopped the sweep later.
    """
    recipes = [recipe for _, recipe in settings.points()]
    for names in dict.fromkeys((r.trainer.optim, r.trainer.lr_scheduler_type) for r in recipes):
        check_optimizer(*names)
    refuse_unquantizable(recipes)
    guarded = guard(settings.data)
    models = dict.fromkeys(recipe.model.in_float for recipe in recipes)
    weights = {model: weights_digest(model) for model in models}
    pairs = _all_pairs(recipes)
    seen, separators = look_at_pairs(recipes, pairs)
    guarded = guarded.with_findings(seen)
    train, dev = pairs[recipes[0].data]["train"], pairs[recipes[0].data]["dev"]
    counts = sorted({_check_config(recipe) for recipe in recipes})
    facts = (
        *(_model_in_words(*found) for found in weights.items()),
        *base_in_words(recipes),
        *_new_in_words(recipes),
        *_pooled_in_words(recipes),
        f"data   {len(train):,} train and {len(dev):,} dev {'rows' if train.single else 'pairs'}: "
        f"{train.origin}, {dev.origin}",
        *guarded.lines,
        f"LoRA   {' / '.join(f'{n:,}' for n in counts)} parameters{_beside_head(recipes)}",
        *_targets_in_words(recipes),
        _size_in_words(settings.search, settings.space, recipes),
        common_line(recipes[0], settings.space.keys),
        *_start_in_words(settings),
        f"trains {_in_words(settings.trainer.precision)}{_alone_in_words(recipes)}",
    )
    try_steps(recipes, settings.folder)
    assert dev.labels is not None
    check_metric(settings.task, dev.labels)
    prints = _fingerprints(settings.recipe(seed=0), weights, pairs, separators)
    sizes = {"train": len(train), "dev": len(dev)}
    return Preflight(dev.labels, {"dev": dev.digest(), **prints}, sizes, facts, guarded)


def _targets_in_words(recipes: Sequence[Recipe]) -> list[str]:
    """What targets mean in these models where their name does not say all of it."""
    found = [targets_in(recipe).note for recipe in recipes]
    return [f"       {note}" for note in dict.fromkeys(found) if note]


def _all_pairs(recipes: Sequence[Recipe]) -> dict[Data, dict[Split, Pairs]]:
    """Of all data: train, and what scores come from."""
    return {
        data: {"train": load_split(data, "train"), **judged_by(data)}
        for data in dict.fromkeys(recipe.data for recipe in recipes)
    }


def _fingerprints(
    base: Recipe,
    weights: Mapping[Model, str],
    pairs: Mapping[Data, Mapping[Split, Pairs]],
    separators: Mapping[str, str],
) -> dict[str, str]:
    """Of all weights and train pairs; those of the base have the short names.

    A separator is one, too: a study may have been begun before decoders got any.
    """
    found = {}
    for model, digest in weights.items():
        name = "weights" if model == base.model.in_float else f"weights of {model.path}"
        found[name] = digest
    for data, splits in pairs.items():
        cut = f", {data.max_train_rows} rows" if data.max_train_rows else ""
        name = "train" if data == base.data else f"train of {data.train}{cut}"
        found[name] = splits["train"].digest()
    for path, separator in separators.items():
        name = "separator" if path == base.model.path else f"separator of {path}"
        found[name] = separator
    return found


def _model_in_words(model: Model, weights: str) -> str:
    verified = f", SHA-256 {weights[:12]}… verified" if model.sha256 else ""
    return f"model  {model.path}{verified}"


def _new_in_words(recipes: Sequence[Recipe]) -> list[str]:
    """A line for each model whose checkpoint has no pooler."""
    crosses = [recipe for recipe in recipes if recipe.task.encoder == "cross"]
    heads = {recipe.model: targets_in(recipe).head for recipe in crosses}
    found = {model.path: [name for name in head if "." in name] for model, head in heads.items()}
    return [
        f"head   {', '.join(new)} is not in the checkpoint of {path}: trained in full and saved"
        for path, new in found.items()
        if new
    ]


def _pooled_in_words(recipes: Sequence[Recipe]) -> list[str]:
    """A line for each model of a bi-encoder: how its sentences become vectors, and who says so."""
    models = dict.fromkeys(r.model for r in recipes if r.task.encoder == "bi")
    poolings = {model: pooling_of(model) for model in models}
    return [
        f"pool   {pooling.words}: {'' if pooling.is_own else 'not '}named by {model.path}"
        for model, pooling in poolings.items()
    ]


def _beside_head(recipes: Sequence[Recipe]) -> str:
    """A bi-encoder has no head that is trained."""
    return " beside the head" if any(r.task.encoder == "cross" for r in recipes) else ""


def _size_in_words(search: SearchSettings, space: Space, recipes: Sequence[Recipe]) -> str:
    """How many trainings there will be; cells that are the same training count once."""
    if search.sampler != "grid":
        found = space.num_configs(search.n_trials)
        most = space.num_points
        again = f"; the space has no more than {_some(most, 'point')}" if found == most else ""
    else:
        found = len({recipe.config_id for recipe in recipes})
        folded = len(recipes) - found
        again = f"; {_some(folded, 'cell')} with the training of another" if folded else ""
    configs = f"{_some(found, 'config')} ({search.sampler})"
    return f"search {configs}, {_some(len(search.seeds), 'seed')} each{again}"


def _start_in_words(settings: Settings) -> list[str]:
    """What every config has in common beyond the base, and what is tried first."""
    search, baseline, start = settings.search, settings.baseline, settings.start
    constants = [f"{key}={label_of(value)}" for key, value in settings.space.constants]
    lines = [f"fixed  {', '.join(constants)}"] if constants else []
    if baseline is None and search.baseline:
        lines.append("start  no baseline: the space does not hold the base recipe")
    first = [] if baseline is None or search.sampler == "grid" else ["the base recipe"]
    first += filter(None, [start_words(start, search.start_with)])
    return [*lines, *([f"start  with {', then '.join(first)}"] if first else []), *start.lines]


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _in_words(precision: str) -> str:
    return "in float32" if precision == "fp32" else f"in {precision}, adapters and head in float32"


def _alone_in_words(recipes: Sequence[Recipe]) -> str:
    """Which configs can't share a pack with others, and why."""
    reasons = Counter(reason for recipe in recipes if (reason := why_alone(recipe)))
    parts = [f"{count} of {len(recipes)} alone ({why})" for why, count in reasons.items()]
    return "; ".join(["", *parts])


def _check_config(recipe: Recipe) -> int:
    targets = targets_in(recipe)
    check_patterns(targets, recipe.lora)
    trained_in_full(recipe)
    check_eva(targets, recipe.lora)
    ranks = layer_ranks(targets, recipe.lora)
    odd = next((rank for rank in ranks if rank % 2), None)
    if recipe.lora.init_lora_weights == "orthogonal" and odd:
        raise ConfigError(
            "`lora.init_lora_weights=orthogonal` needs an even rank.",
            value=f"rank {odd}",
            way_out="take even ranks only, or `lora.init_lora_weights=true`",
        )
    return targets.lora_params(ranks)
