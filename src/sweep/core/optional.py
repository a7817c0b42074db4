"""Optional parts: a package that is missing, or broken, is told and never ends in a traceback."""

from __future__ import annotations

import importlib
from importlib.util import find_spec


def trouble_with(package: str) -> str | None:
    """Why a package can't be used, in a few words: it is not installed, or fails at its import.

    None where it can; it is imported then.
    """
    # A folder of that name in the current directory is found too, but has no origin.
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return "is not installed"
    try:
        importlib.import_module(package)
    # Whatever its code does when it is broken, to leave included.
    except (Exception, SystemExit) as error:
        first = next(iter(str(error).splitlines()), "")
        return f"is installed but fails at import ({type(error).__name__}: {first[:200]})"
    return None
