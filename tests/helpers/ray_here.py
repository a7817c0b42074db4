"""Ray for tests: a cluster of several nodes on this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sweep.execute.folder.hands import Hire
from sweep.study.files import StudyFiles

_STORE = 80 << 20


def skip_without_ray() -> None:
    """Skip the test where Ray is not installed, and say so."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed; `make test-ray` installs it")


@contextmanager
def running() -> Iterator[Any]:
    """A cluster with a node of one CPU, which this process drives while the block runs."""
    # A short name: Ray's sockets lie there.
    home = Path(tempfile.mkdtemp(prefix="ray-"))
    key = home / "token"
    key.write_text(secrets.token_hex(32))
    os.environ |= {
        "RAY_TMPDIR": str(home),
        "RAY_AUTH_TOKEN_PATH": str(key),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Nodes of one machine that others use all start slowly.
        "RAY_agent_register_timeout_ms": "100000",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
        from ray.cluster_utils import Cluster

        args = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=args)
        try:
            ray.init(cluster.address, log_to_driver=False, configure_logging=False)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(home, ignore_errors=True)


def add_node(cluster: Any) -> Any:
    """One more machine with one CPU, as far as Ray knows."""
    return cluster.add_node(num_cpus=1, object_store_memory=_STORE)


def refuse_to_hire(place: StudyFiles) -> Hire:
    """Of an actor that can't work; actors import it from here."""
    raise ValueError("no trainer here")
