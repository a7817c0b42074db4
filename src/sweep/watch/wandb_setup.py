"""How wandb is set up, begun, bounded in time and ended. All calls that open a run are here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sweep.watch.wandb_target import HIDDEN, Target

if TYPE_CHECKING:
    import wandb

T = TypeVar("T")
LiveMode = Literal["online", "offline"]
FLUSH_SECONDS = 1.0
#: Writing to a disk ends by itself; where a machine is busy, that takes as long as it takes.
_NO_LIMIT_SECONDS = 24 * 3600.0


@contextmanager
def wandb_variables(folder: Path | None = None) -> Iterator[None]:
    """Settings that wandb takes from variables only. The user's own values stay.

    Its error reports are off: their exit hook waits 12 s for a server that is gone. The copy of
    the table that `wandb sync` sends goes to the study instead of the home folder. Variables that
    are meant for one run are out of its sight.
    """
    ours = {"WANDB_ERROR_REPORTING": "false"}
    if folder is not None:
        ours["WANDB_DATA_DIR"] = str(folder / "wandb" / "data")
    ours = {name: value for name, value in ours.items() if name not in os.environ}
    hidden = {name: os.environ.pop(name) for name in HIDDEN if name in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(hidden)


def open_run(
    folder: Path,
    target: Target,
    *,
    study: str,
    mode: LiveMode,
    wandb_id: str,
    timeout_s: float | None,
    **fields: Any,
) -> wandb.Run:
    """Begin a run at wandb, below `folder`.

    Args:
        wandb_id: Ours, so that no variable can lead all runs into one.
        timeout_s: Of the server; None, for files, is no limit.
        fields: Its name, kind and config.
    """
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True, x_service_wait=timeout_s or _NO_LIMIT_SECONDS))
    return wandb.init(
        **fields,
        project=target.project,
        entity=target.entity,
        group=target.group or study,
        tags=list(target.tags) or None,
        notes=target.notes,
        dir=folder,
        id=wandb_id,
        mode=mode,
        # Several runs are open at once; by default the first one would come back.
        reinit="create_new",
        settings=wandb_settings(timeout_s),
    )


def close_run(handle: wandb.Run, summary: Mapping[str, Any], exit_code: int) -> None:
    """End a run at wandb with what it came to; what is missing is left out."""
    handle.summary.update({k: v for k, v in summary.items() if v is not None})
    handle.finish(exit_code=exit_code)


def wandb_settings(timeout_s: float | None) -> wandb.Settings:
    import wandb

    return wandb.Settings(
        init_timeout=timeout_s or _NO_LIMIT_SECONDS,
        finish_timeout=timeout_s or 0,
        finish_timeout_raises=timeout_s is not None,
        # A killed process loses what was not written: 15 s, if left to wandb.
        x_transaction_log_flush_interval=FLUSH_SECONDS,
        silent=True,
        # Else it would log every frame that the live view draws.
        console="off",
        use_dot_wandb=False,
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_save_requirements=False,
        x_disable_stats=True,
    )


def stop_wandb(patience_s: float) -> None:
    """End wandb's own process and drop its exit hook, which would wait for the server."""

    def stop() -> None:
        import wandb

        wandb.teardown(exit_code=1)

    # SystemExit is how it says that its process had crashed.
    with suppress(Exception, SystemExit):
        start_call(stop).result(patience_s)


def start_call(call: Callable[[], T]) -> Future[T]:
    """Run the call in a daemon thread: one that hangs is left behind, also by the exit."""
    result: Future[T] = Future()

    def work() -> None:
        try:
            result.set_result(call())
        except BaseException as error:
            result.set_exception(error)

    Thread(target=work, name="wandb-call", daemon=True).start()
    return result
