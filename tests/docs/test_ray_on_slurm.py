"""The example that starts Ray on the nodes of one job of Slurm (`make test-ray`)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import ray_here
import slurm_here
from command_line import table
from pages import ROOT

SCRIPT = ROOT / "examples" / "ray_on_slurm" / "sweep.sh"


@pytest.mark.trains
@pytest.mark.long
def test_all_nodes_of_a_job_train(
    arguments: list[str], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ray_here.skip_without_ray()
    slurm_here.skip_without_slurm()
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    places = [str(Path(spec.origin).parents[1] / "bin"), str(Path(sys.executable).parent)]
    words = [a for a in arguments if not a.startswith(("executor=", "search.space="))]
    words += ["search.space={lora.r:[2,3,4,5]}", "executor.pack_size=1", "executor.workers=2"]
    # A short name: Ray's sockets lie there.
    with (
        tempfile.TemporaryDirectory(prefix="ray-") as short,
        slurm_here.running(tmp_path_factory.mktemp("slurm")),
    ):
        variables = {
            **os.environ,
            "PATH": os.pathsep.join([*places, os.environ["PATH"]]),
            "RAY_TMPDIR": short,
            "RAY_agent_register_timeout_ms": "100000",
        }
        done = subprocess.run(
            ["sbatch", "--wait", "--nodes=2", "--output=said", str(SCRIPT), *words, "name=there"],
            env=variables,
            check=False,
        )
    assert done.returncode == 0, (home / "said").read_text()
    rows = table(home / "results" / "there")
    assert set(rows["state"]) == {"complete"}
    assert {worker.partition("-")[0] for worker in rows["worker"]} == set(slurm_here.NODES)
