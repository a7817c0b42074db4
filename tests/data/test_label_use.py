"""Labels that use a part of `data.label_range`: said, with the range to set."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.data.label_use import label_use

GRIDS = {
    "0 to 1": np.linspace(0, 1, 41),
    "0 to 0.93": np.linspace(0, 0.93, 41),
    "0 to 5": np.linspace(0, 5, 41),
    "0.2 to 4.8": np.linspace(0.2, 4.8, 41),
    "1 to 5": np.arange(1.0, 6.0),
    "-1 to 1": np.linspace(-1, 1, 41),
    "0 to 100": np.linspace(3, 97, 41),
    "0 or 1": np.array([0.0, 1.0, 1.0, 0.0]),
    "0 to 0.04": np.linspace(0, 0.04, 9),
    "40 to 42": np.linspace(40, 42, 9),
}


@pytest.mark.parametrize(
    ("labels", "allowed", "fits", "level"),
    [
        ("0 to 1", (0, 5), "[0,1]", "warn"),
        ("0 to 0.93", (0, 5), "[0,1]", "warn"),
        ("0 or 1", (0, 5), "[0,1]", "warn"),
        ("0 to 1", (0, 100), "[0,1]", "warn"),
        ("0 to 5", (0, 100), "[0,5]", "warn"),
        ("0.2 to 4.8", (0, 10), "[0,5]", "warn"),
        ("1 to 5", (0, 5), "[1,5]", "info"),
        ("-1 to 1", (-5, 5), "[-1,1]", "warn"),
        ("0 to 0.04", (0, 5), "[0,0.04]", "warn"),
        ("40 to 42", (0, 100), "[40,42]", "warn"),
    ],
)
def test_part_of_the_range_is_said_with_the_range_that_fits(
    labels: str, allowed: tuple[float, float], fits: str, level: str
) -> None:
    (finding,) = label_use({"train": GRIDS[labels]}, allowed)
    assert finding.level == level
    assert f"data.label_range=[{allowed[0]},{allowed[1]}]" in finding.sentence
    assert f"data.label_range={fits} fits" in finding.sentence
    assert finding.is_told


@pytest.mark.parametrize(
    ("labels", "allowed"),
    [
        ("0 to 5", (0, 5)),
        ("0.2 to 4.8", (0, 5)),
        ("0 to 1", (0, 1)),
        ("0 to 0.93", (0, 1)),
        ("1 to 5", (1, 5)),
        ("0 to 100", (0, 100)),
        ("-1 to 1", (-1, 1)),
    ],
)
def test_whole_range_is_not_worth_a_word(labels: str, allowed: tuple[float, float]) -> None:
    assert label_use({"train": GRIDS[labels]}, allowed) == []


def test_one_split_may_use_what_the_other_does_not() -> None:
    assert label_use({"train": GRIDS["0 to 5"], "dev": GRIDS["0 to 1"]}, (0, 5)) == []
