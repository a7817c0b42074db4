"""A real Slurm for tests: the one that is there, or two single-core nodes on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "munged")
NODES = ("n1", "n2")

CONF = """\
ClusterName=tests
SlurmctldHost={host}
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldLogFile={folder}/slurmctld.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
KillWait=15
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port=16821 CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port=16822 CPUs=1 RealMemory=2000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def skip_without_slurm() -> None:
    """Skip the test where no Slurm can be had, and say why."""
    if find_spec("submitit") is None:
        pytest.skip("submitit is not installed; `make test-slurm` installs it")
    if _answers():
        return
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no Slurm here: {', '.join(missing)} is missing")
    if os.geteuid() != 0:
        pytest.skip("no Slurm runs here, and only root can start one")


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Have a Slurm while the block runs."""
    if _answers():
        yield
        return
    (folder / "state").mkdir()
    host = subprocess.check_output(["hostname", "-s"], text=True).strip()
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder))
    os.environ["SLURM_CONF"] = str(conf)
    started = []
    try:
        for command in _daemons(folder):
            with (folder / f"{command[0]}.out").open("ab") as out:
                started.append(subprocess.Popen(command, stdout=out, stderr=out))
            time.sleep(1)
        _wait_until_idle()
        yield
    finally:
        for process in reversed(started):
            _end(process)
        del os.environ["SLURM_CONF"]


def _end(process: subprocess.Popen[bytes]) -> None:
    """One after the other: a node that has lost its controller may never end by itself."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _daemons(folder: Path) -> list[list[str]]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    own = [f"--{what}-file={folder}/munge.{what}" for what in ("key", "pid", "log", "seed")]
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *own]
    return [munge, ["slurmctld", "-D"], *(["slurmd", "-D", "-N", node] for node in NODES)]


def _answers() -> bool:
    return shutil.which("sinfo") is not None and _idle_nodes() is not None


def _idle_nodes() -> int | None:
    try:
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%t"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.split().count("idle") if done.returncode == 0 else None


def _wait_until_idle() -> None:
    ends_at = time.monotonic() + 60
    while _idle_nodes() != len(NODES):
        assert time.monotonic() < ends_at, "the nodes of Slurm do not come up"
        time.sleep(1)
