"""`python -m sweep`. Worker processes import this file too: keep it light."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Entry point of the command line; returns the exit code."""
    # Before any library is imported. The user's own choice wins.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Without a network it would tell of ten retries before our one message.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from sweep.cli import run_command

    return run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
