"""What the values of a recipe must be, beyond their types."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from sweep.core.errors import ConfigError
from sweep.core.recipe import Data, Recipe
from sweep.core.template import is_template

#: Of `lora.init_lora_weights`, those that look at the base's weights or, EVA, at train rows.
_STARTS = ("mica", "pissa", "olora", "eva")


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def _are_conditions(where: Mapping[str, Any]) -> bool:
    """Each column with a value or several, also below the name of a split."""
    return all(
        value and all(map(_is_wanted, value.values()))
        if isinstance(value, Mapping) and column in ("train", "dev", "test")
        else _is_wanted(value)
        for column, value in where.items()
    )


def _is_wanted(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, (str, int, float, bool)) for one in values)


def _is_expression(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


#: What a value must be, under the key it belongs to: (test, rule). The types are checked before.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model.path": (bool, "must name a Hub model or a folder"),
    "data.max_length": (lambda n: n >= 8, "must be at least 8 word pieces"),
    "data.label_range": (lambda r: r[0] < r[1], "must be [lowest, highest]"),
    "data.template": (
        lambda text: text is None or is_template(text),
        "must have `{a}` and then `{b}`, each once, with text between them and no other name in "
        "braces, as `{a}\\n{b}`, or be null",
    ),
    "data.max_train_rows": (lambda n: n is None or n >= 1, "must be at least 1, or null for all"),
    "data.max_dev_rows": (lambda n: n is None or n >= 2, "must be at least 2, or null for all"),
    "data.seed": (lambda n: n >= 0, "must be at least 0"),
    "data.holdout_seed": (lambda n: n >= 0, "must be at least 0"),
    "data.encoding": (_is_encoding, "must be one that Python knows, as `cp949`"),
    "data.skip_lines": (lambda n: n is None or n >= 0, "must be at least 0, or null"),
    "data.separator": (lambda text: text != "", "must be one character or more, or null"),
    "data.split_text": (lambda text: text != "", "must be one character or more, or null"),
    "data.where": (
        _are_conditions,
        "must map columns to a value or a list of values, as `{split: train}`, or splits to such "
        "conditions, as `{train: {fold: 1}, dev: {fold: 2}}`",
    ),
    "data.holdout": (
        lambda h: h is None or 0 < h < 1 or (h >= 2 and h == int(h)),
        "must be null, a share between 0 and 1, or a number of rows from 2 on",
    ),
    "lora.r": (lambda r: r >= 1, "must be at least 1"),
    "lora.lora_alpha": (lambda a: 0 < a < math.inf, "must be above 0"),
    "lora.lora_dropout": (lambda p: 0 <= p < 1, "must lie in [0, 1)"),
    "lora.lr_ratio": (lambda ratio: 0 < ratio < math.inf, "must be above 0"),
    # The others look at gradients or covariances that nobody gives them here, or, as PiSSA's fast
    # variant does, change the base in another way each time the adapter is loaded.
    "lora.init_lora_weights": (
        lambda start: start in (True, False, "gaussian", "orthogonal", *_STARTS),
        f"must be true, false, gaussian, orthogonal, {', '.join(_STARTS[:-1])} or {_STARTS[-1]}",
    ),
    "lora.rank_pattern": (
        lambda pattern: all(map(_is_expression, pattern)) and all(r >= 1 for r in pattern.values()),
        "must map names of layers, or regular expressions, to ranks of at least 1",
    ),
    "lora.alpha_pattern": (
        lambda pattern: all(map(_is_expression, pattern)) and all(a > 0 for a in pattern.values()),
        "must map names of layers, or regular expressions, to alphas above 0",
    ),
    "lora.target_modules": (bool, "must name at least one module or preset"),
    "trainer.learning_rate": (lambda x: 0 < x < math.inf, "must be above 0"),
    "trainer.max_steps": (lambda n: n == -1 or n >= 1, "must be at least 1, or -1 for epochs"),
    "trainer.num_train_epochs": (lambda x: 0 < x < math.inf, "must be above 0"),
    "trainer.per_device_train_batch_size": (lambda n: n >= 1, "must be at least 1"),
    "trainer.per_device_eval_batch_size": (lambda n: n >= 1, "must be at least 1"),
    "trainer.gradient_accumulation_steps": (lambda n: n >= 1, "must be at least 1"),
    "trainer.weight_decay": (lambda x: 0 <= x < math.inf, "must be at least 0"),
    "trainer.max_grad_norm": (lambda x: 0 <= x < math.inf, "must be at least 0 (0: no clipping)"),
    "trainer.warmup_steps": (lambda x: 0 <= x < math.inf, "must be at least 0"),
    "trainer.lr_scheduler_type": (
        lambda name: name not in ("reduce_lr_on_plateau", "greedy"),
        "must depend on the step alone, not on the evaluations",
    ),
    "trainer.eval_steps": (lambda x: x is None or x > 0, "must be above 0"),
    "trainer.adam_beta1": (lambda b: 0 <= b < 1, "must lie in [0, 1)"),
    "trainer.adam_beta2": (lambda b: 0 <= b < 1, "must lie in [0, 1)"),
    "trainer.adam_epsilon": (lambda x: 0 < x < math.inf, "must be above 0"),
    "trainer.dataloader_num_workers": (lambda n: n >= 0, "must be at least 0"),
}


def check_ranges(recipe: Recipe) -> None:
    """Refuse values that no training could use.

    Raises:
        ConfigError: names key, rule and value.
    """
    for key, (holds, rule) in _RULES.items():
        value = recipe.value_of(key)
        if not holds(value):
            raise ConfigError(f"`{key}` {rule}.", value=repr(value))
    _check_split_text(recipe.data)
    _check_template(recipe)
    trainer = recipe.trainer
    if trainer.eval_strategy == "steps" and trainer.eval_steps is None:
        raise ConfigError(
            "`trainer.eval_strategy: steps` needs `trainer.eval_steps`.",
            way_out="for example `trainer.eval_steps=100`, or 0.25 for four evaluations",
        )


def _check_template(recipe: Recipe) -> None:
    """Sentences that are read apart stand in no text together."""
    if recipe.data.template is not None and recipe.task.encoder == "bi":
        raise ConfigError(
            "`data.template` needs `task.encoder=cross`, which reads both sentences together.",
            value=f"data.template={recipe.data.template!r} with task.encoder=bi",
            way_out="set `data.template=null`; what stands before each sentence of `bi` is the "
            "prefix that the model's folder names",
        )


def _check_split_text(data: Data) -> None:
    """Both texts are in the cell of `text_a` then."""
    if data.split_text and data.text_b not in (Data().text_b, data.text_a):
        raise ConfigError(
            "With `data.split_text`, both texts stand in the column `data.text_a`.",
            value=f"data.text_a={data.text_a}, data.text_b={data.text_b}",
            way_out="leave `data.text_b` out, or set `data.split_text=null`",
        )
