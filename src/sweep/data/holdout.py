"""Rows that are set aside before the search and never read by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sweep.core.arrays import Floats
from sweep.core.errors import DataError
from sweep.data.likeness import Key, unordered


def held_out(
    keys: Sequence[Key], labels: Floats, *, holdout: float, seed: int
) -> NDArray[np.bool_]:
    """Which rows `[N]` are set aside: as many from every part of the scale.

    Rows are sorted by label, cut into as many slices as rows are wanted, and one is drawn from
    each. A pair that occurs twice is never drawn: its twin would be trained on.

    Args:
        holdout: A share of all rows where below 1, otherwise a number of rows.

    Raises:
        DataError: less than two rows would be set aside, or less than two trained on.
    """
    wanted = round(holdout * len(keys)) if holdout < 1 else int(holdout)
    occurrences = Counter(map(unordered, keys))
    single = np.array([occurrences[unordered(key)] == 1 for key in keys])
    rows = np.flatnonzero(single)
    if not 2 <= wanted <= min(len(rows), len(keys) - 2):
        raise DataError(
            "`data.holdout` must leave at least 2 rows on either side.",
            value=f"{holdout:g}: {wanted} of {len(keys)} rows, {len(rows)} of which occur once",
            way_out="set a share such as data.holdout=0.1, or data.holdout=null",
        )
    rng = np.random.default_rng(seed)
    ordered = rows[np.lexsort((rng.random(len(rows)), labels[rows]))]
    ends = np.linspace(0, len(ordered), wanted + 1).astype(np.int64)
    drawn = rng.integers(ends[:-1], ends[1:])
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[ordered[drawn]] = True
    return chosen
