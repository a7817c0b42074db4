"""sweep: which LoRA setting is best for a task, how sure that is, and the adapter.

As a library: `from sweep import run_sweep, plan, load, Study` (`sweep.commands.library`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.commands.library import Adapter, Study, load, plan, run_sweep

__version__ = "0.1.0"
__all__ = ["Adapter", "Study", "load", "plan", "run_sweep"]


def __getattr__(name: str) -> Any:
    """Imported on use: worker processes import this package, and need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("sweep.commands.library"), name)
