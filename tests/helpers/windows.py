"""Pairs to predict, all windows of a file at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from sweep.core.recipe import Data
from sweep.data.pairs import Pairs
from sweep.data.survey import surveyed


def load_unscored(
    path: Path,
    data: Data,
    *,
    tell: Callable[[str], None],
    needs_labels: bool = False,
    given: Collection[str] = (),
) -> Pairs:
    """The rows that are pairs; a file with other rows is refused."""
    survey = surveyed(path, data, given, tell=tell, needs_labels=needs_labels)
    texts: list[tuple[str, str]] = []
    for window in survey.windows():
        assert not window.faults
        texts += zip(window.text_a, window.text_b, strict=True)
    first, second = zip(*texts, strict=True)
    return Pairs(first, second, survey.labels, str(path), single=data.text_b is None)
