"""What every benchmark writes beside its figures: machine, versions, raw repeats."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sweep.execute.cores import physical_cores
from sweep.study.folder import versions

RESULTS = Path(__file__).resolve().parents[1] / "results" / "benchmarks"


def machine() -> dict[str, Any]:
    """Hardware as far as a figure depends on it."""
    capabilities = torch.cpu.get_capabilities()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_name(),
        "physical_cores": len(physical_cores()),
        "instructions": sorted(
            name
            for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
            if capabilities.get(name)
        ),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpus": gpus,
        "system": platform.system(),
    }


def runs_of(study: Path, **options: Any) -> pd.DataFrame:
    """`table.csv` without its baselines, which are no runs of LoRA."""
    table = pd.read_csv(study / "table.csv", **options)
    return table[table["kind"] == "lora"] if "kind" in table else table


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and spread of raw repeats."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "repeats": len(values),
    }


def write(name: str, content: dict[str, Any]) -> Path:
    """Write `results/benchmarks/<name>.json`."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "benchmark": name,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
    }
    path.write_text(json.dumps({**head, **content}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path


def _cpu_name() -> str:
    """With family and model where Linux tells them: a cloud's "AMD EPYC" may be any of several."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    first_core = info.read_text(encoding="utf-8").split("\n\n")[0]
    lines = (line.split(":", 1) for line in first_core.splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in lines}
    if "model name" not in facts:
        return platform.processor()
    return f"{facts['model name']} (family {facts.get('cpu family')}, model {facts.get('model')})"
