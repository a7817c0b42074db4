"""What the frozen base scores without LoRA: by the cosine of two sentences, by a head alone, or not
at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from sweep.core.arrays import Floats
from sweep.core.recipe import Data, Lora, Recipe
from sweep.data.findings import Split
from sweep.data.pairs import Pairs, load_split, tokenized
from sweep.lora.model import load_base, load_tokenizer, targets_of
from sweep.lora.sentence_vectors import cosines, last_tokens, pooling_of, sentence_vectors
from sweep.train.memory import PeakMemory

#: Train pairs that a head is fitted to at most: beyond, its score moves little and its time grows.
MOST_TRAIN_PAIRS = 2_000
_PENALTIES = np.logspace(-1, 6, 15)
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Untrained:
    """Predictions `[N]` of each split by one baseline, and how they came about."""

    kind: str
    how: str
    params: int
    seconds: float
    predictions: dict[Split, Floats]
    #: Peak of the process, with the base in float32.
    memory_mb: float | None = None


def score_baselines(
    recipe: Recipe, kinds: tuple[str, ...], splits: tuple[Split, ...], threads: int
) -> list[Untrained]:
    """What each baseline makes of the splits, in float32.

    Args:
        kinds: Of `cosine`, `head`, `majority`.
    """
    torch.set_num_threads(threads)
    tokenizer = load_tokenizer(recipe.model, recipe.data.template)
    net, _ = load_base(recipe.model, tokenizer, classes=recipe.data.classes)
    pairs = {split: load_split(recipe.data, split) for split in splits}
    ways = {"cosine": _by_cosine, "head": _by_head, "majority": _by_majority}
    found = []
    for kind in kinds:
        with PeakMemory(net.device) as memory:
            scored = ways[kind](recipe, net, tokenizer, pairs)
        found.append(replace(scored, memory_mb=memory.peak_mb))
    return found


def _by_cosine(
    recipe: Recipe,
    net: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: dict[Split, Pairs],
) -> Untrained:
    """The cosine of both sentences' vectors, each read alone."""
    began, pooling = time.monotonic(), pooling_of(recipe.model)
    base: Any = net.base_model

    def vectors(texts: tuple[str, ...]) -> Floats:
        length = recipe.data.max_length
        return sentence_vectors(base, tokenizer, texts, pooling, max_length=length)

    found = {
        split: cosines(vectors(some.text_a), vectors(some.text_b)) for split, some in pairs.items()
    }
    return Untrained("cosine", pooling.words, 0, time.monotonic() - began, found)


def _by_head(
    recipe: Recipe,
    net: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: dict[Split, Pairs],
) -> Untrained:
    """A linear head on what the model's own head is given, fitted by ridge regression; of classes
    each against the rest.

    It has no seed and no learning rate: the penalty is chosen by leave-one-out on the train pairs.
    """
    # Loaded on use: it takes a second, which nothing else needs.
    from sklearn.linear_model import RidgeClassifierCV, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    began = time.monotonic()
    train = load_split(recipe.data, "train")
    if len(train) > MOST_TRAIN_PAIRS:
        drawn = np.random.default_rng(0).permutation(len(train))[:MOST_TRAIN_PAIRS]
        train = train.take(np.sort(drawn))
    head = net.get_submodule(_first_of_head(recipe))
    inputs = _HeadInputs(net, head, tokenizer, recipe.data)
    ridge = RidgeClassifierCV if recipe.task.of_classes else RidgeCV
    model = make_pipeline(StandardScaler(), ridge(alphas=_PENALTIES))
    x = inputs.of(train)
    model.fit(x, train.labels)
    found = {split: np.asarray(model.predict(inputs.of(some))) for split, some in pairs.items()}
    how = f"ridge regression on {x.shape[1]} numbers of {len(train):,} train pairs"
    outputs = len(recipe.data.classes) if recipe.data.classes else 1
    params = outputs * (x.shape[1] + 1)
    return Untrained("head", how, params, time.monotonic() - began, found)


def _by_majority(
    recipe: Recipe,
    net: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: dict[Split, Pairs],
) -> Untrained:
    """The most frequent class of train for all: what a score of classes begins at."""
    began, train = time.monotonic(), load_split(recipe.data, "train").labels
    assert train is not None
    assert recipe.data.classes is not None
    most = int(np.bincount(train.astype(int)).argmax())
    found = {split: np.full(len(some), float(most)) for split, some in pairs.items()}
    how = f"`{recipe.data.classes[most]}` for all"
    return Untrained("majority", how, 0, time.monotonic() - began, found)


def _first_of_head(recipe: Recipe) -> str:
    """The module of the head that is given what the base has made: a new pooler, or the top."""
    head = targets_of(recipe.model, Lora(target_modules="all-linear")).head
    return min(head, key=lambda name: ("." not in name, head.index(name)))


class _HeadInputs:
    """What the first module of a head is given for each pair, `[N, D]`.

    Of a sequence the token that the head reads: the last of a decoder, the first otherwise.
    """

    def __init__(
        self,
        net: torch.nn.Module,
        head: torch.nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        data: Data,
    ) -> None:
        self._net, self._head, self._tokenizer, self._data = net, head, tokenizer, data
        # A decoder's head is one linear layer over all tokens.
        self._reads_last = hasattr(net, "score")

    @torch.inference_mode()
    def of(self, pairs: Pairs) -> Floats:
        self._net.eval()
        rows = tokenized(pairs, self._tokenizer, self._data)
        rows = rows.remove_columns([c for c in rows.column_names if c == "labels"])
        collate = DataCollatorWithPadding(self._tokenizer)
        order = np.argsort([len(row) for row in rows["input_ids"]], kind="stable")
        found: list[Floats] = []
        seen: list[Tensor] = []
        hook = self._head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            for start in range(0, len(order), _BATCH):
                batch = collate([rows[int(place)] for place in order[start : start + _BATCH]])
                seen.clear()
                self._net(**batch)
                found.append(self._one_each(seen[0], batch["attention_mask"]).double().numpy())
        finally:
            hook.remove()
        return np.concatenate(found)[np.argsort(order, kind="stable")]

    def _one_each(self, given: Tensor, mask: Tensor) -> Tensor:
        if given.dim() == 2:
            return given
        return last_tokens(given, mask.bool()) if self._reads_last else given[:, 0]
