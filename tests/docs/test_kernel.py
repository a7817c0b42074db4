"""The notebook in a real kernel of Jupyter: interrupted in the middle of its sweep, and run again.

`make test-jupyter` has the packages; without them it is skipped, with the reason.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

jupyter = pytest.importorskip(
    "jupyter_client", reason="jupyter_client is not installed: `make test-jupyter`"
)
pytest.importorskip("ipykernel", reason="ipykernel is not installed: `make test-jupyter`")

pytestmark = [pytest.mark.trains, pytest.mark.long]

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook" / "which_lora.ipynb"
RUNS = 4
_PATIENCE_SECONDS = 400


@dataclass
class Ran:
    """What a cell has shown."""

    text: str = ""
    pages: str = ""
    #: Lines of the error that it ended with.
    error: list[str] = field(default_factory=list)


class Kernel:
    def __init__(self, home: Path, overrides: list[str]) -> None:
        self.manager = jupyter.KernelManager()
        paths = os.pathsep.join(path for path in sys.path if path)
        env = {
            **os.environ,
            "PYTHONPATH": paths,
            "SWEEP_NOTEBOOK_OVERRIDES": shlex.join(overrides),
        }
        self.manager.start_kernel(cwd=str(home), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, source: str, *, interrupt_after: Path | None = None) -> Ran:
        """Run a cell to its end; interrupted once a run of the study in this folder has ended."""
        asked, ran = self.client.execute(source), Ran()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if interrupt_after and list(interrupt_after.glob("runs/*/run.json")):
                self.manager.interrupt_kernel()
                interrupt_after = None
            try:
                said = self.client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            if said["parent_header"].get("msg_id") == asked and self._is_last(said, ran):
                return ran
        raise TimeoutError(ran.text[-2000:])

    def _is_last(self, said: dict[str, Any], ran: Ran) -> bool:
        kind, content = said["msg_type"], said["content"]
        if kind == "stream":
            ran.text += content["text"]
        elif kind in ("display_data", "update_display_data", "execute_result"):
            ran.pages += content["data"].get("text/html", "")
            ran.text += content["data"].get("text/plain", "")
        elif kind == "error":
            ran.error = content["traceback"]
        return bool(kind == "status" and content["execution_state"] == "idle")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(home: Path, small: list[str]) -> Iterator[Kernel]:
    quick = "confirm=none", "baselines=none", "results_dir=out"
    space = f"search.space={{lora.r:[{','.join(str(2 * n) for n in range(1, RUNS + 1))}]}}"
    started = Kernel(home, [*small, *quick, space, "executor.pack_size=1"])
    yield started
    started.close()


def test_interrupted_cell_says_so_in_a_line_and_goes_on(kernel: Kernel, home: Path) -> None:
    cells = [
        c for c in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if c["cell_type"] == "code"
    ]
    _, pairs, sweep, verdict, *_ = ("".join(cell["source"]) for cell in cells)
    assert kernel.run(pairs).error == []
    study = home / "out" / "notebook"
    stopped = kernel.run(sweep, interrupt_after=study)
    assert "Stopped. Finished runs are kept" in stopped.text
    assert len(stopped.error) == 1
    assert "the same cell goes on" in stopped.error[0]
    done = {path: path.stat().st_mtime_ns for path in study.glob("runs/*/run.json")}
    kept = {path for path in done if '"complete"' in path.read_text("utf-8")}
    assert 1 <= len(kept) < RUNS
    whole = kernel.run(sweep)
    assert whole.error == []
    assert {path: path.stat().st_mtime_ns for path in kept} == {path: done[path] for path in kept}
    assert len(list(study.glob("runs/*/run.json"))) == RUNS
    # What is told on the way and the ranking are HTML in a notebook.
    assert "pearson" in whole.pages.lower()
    assert "for Jupyter support" not in stopped.text + whole.text
    told = kernel.run(verdict)
    assert told.error == []
    assert "r=" in told.text
    assert "lora.r" in told.pages
