"""Engines that are not everywhere: each begins once, at the first test that needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import ray_here
import slurm_here
from executors import OPEN, Open


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    slurm_here.skip_without_slurm()
    with slurm_here.running(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    ray_here.skip_without_ray()
    with ray_here.running() as cluster:
        yield cluster


@pytest.fixture(params=OPEN)
def open_executor(request: pytest.FixtureRequest) -> Open:
    """Opens a back end, each in turn, once there is what it runs on."""
    name: str = request.param
    needed = {"slurm": "slurm", "ray": "ray_cluster"}.get(name)
    if needed:
        request.getfixturevalue(needed)
    return OPEN[name]
