"""`python -m sweep`. Worker processes import this file too: keep it light."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Entry point of the command line; returns the exit code."""
    from sweep.core.streams import prepare_streams

    # Before any file is opened.
    prepare_streams()
    # Before any library is imported. The user's own choice wins.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Without a network it would tell of ten retries before our one message.
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Libraries make hundreds of thousands of objects that stay. To search them for garbage takes a
    # second while they are imported, and another when Python ends.
    gc.set_threshold(100_000, 20, 20)
    from sweep.commands.cli import run_command

    try:
        return run_command(sys.argv[1:])
    except Exception:
        return _told()
    finally:
        gc.freeze()


def _told() -> int:
    """An error that nobody expected, with its trace, and without what must not be shown."""
    import traceback

    from sweep.core.secrets import without_secrets
    from sweep.core.visible import visible

    print(without_secrets(visible(traceback.format_exc())), file=sys.stderr, end="")
    return 1


if __name__ == "__main__":
    sys.exit(main())
