"""How wandb is switched on, bounded, ended, and synced later. Its own calls are in `wandb_log`."""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Literal, TypeVar

from sweep.core.errors import TrackingError
from sweep.core.files import replacing_file

if TYPE_CHECKING:
    import wandb

T = TypeVar("T")
Mode = Literal["auto", "online", "offline", "disabled"]
LiveMode = Literal["online", "offline"]
#: What a mode comes to on a machine.
Tracking = LiveMode | Literal["disabled"]
FLUSH_SECONDS = 1.0
#: What a `.wandb` file holds before any record; a killed process leaves it at that.
_HEADER_BYTES = 7
#: Marks the folder of an online run whose data did not all reach the server.
UNSENT = "unsent"


def resolve_mode(mode: Mode) -> tuple[Tracking, str | None]:
    """What `tracking.mode` comes to on this machine, and a line for the user if there is news.

    `auto` follows `WANDB_MODE` where it is set; else it is online when wandb finds a key (its
    variable, settings or netrc) and offline when it does not. Any other mode beats `WANDB_MODE`.
    Neither the network nor a prompt is used, and the key's validity is not checked.

    Raises:
        TrackingError: online without a key, a mode without the package, a bad `WANDB_MODE`.
    """
    if mode == "auto" and not _is_installed():
        return "disabled", "wandb is not installed, so nothing is tracked: pip install wandb"
    wanted = _mode_of_environment() if mode == "auto" else mode
    if wanted == "disabled":
        return "disabled", None
    if not _is_installed():
        raise TrackingError(
            f"`tracking.mode: {wanted}` needs the package wandb.",
            way_out="pip install wandb, or tracking.mode=disabled",
        )
    problem = None if wanted == "offline" else _key_problem()
    if wanted == "online" and problem is not None:
        raise TrackingError(
            "wandb's online mode needs an API key.",
            value=problem,
            way_out="`wandb login`, or set WANDB_API_KEY, or tracking.mode=offline",
        )
    if wanted == "offline" or problem is not None:
        why = f" ({problem})" if problem else ""
        return "offline", f"wandb logs offline{why}; to send it: `sh wandb/sync.sh` in the study"
    return "online", None


def write_sync_script(folder: Path) -> Path | None:
    """Write `sync.sh`, which sends the runs in `folder` that still hold unsent data, oldest first.

    Returns:
        Its path; None, and no script, when everything was sent.
    """
    runs = sorted(
        (path.parent.name for path in folder.glob("*run-*/run-*.wandb") if _is_unsent(path)),
        key=lambda name: name.removeprefix("offline-"),
    )
    script = folder / "sync.sh"
    if not runs:
        script.unlink(missing_ok=True)
        return None
    lines = [
        "#!/bin/sh",
        "# Sends these runs to wandb. Options are handed on, for example --dry-run.",
        'CDPATH=\'\' cd -- "$(dirname -- "$0")" || exit 1',
        'exec wandb sync --include-online "$@" \\',
        " \\\n".join(f"    {shlex.quote(name)}" for name in runs),
    ]
    with replacing_file(script) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        temporary.chmod(0o755)
    return script


def _is_unsent(path: Path) -> bool:
    """Whether a `.wandb` file holds what the server has not got."""
    folder = path.parent
    waits = folder.name.startswith("offline-run-") or (folder / UNSENT).exists()
    # `wandb sync` leaves this mark.
    synced = path.with_name(f"{path.name}.synced").exists()
    return waits and not synced and path.stat().st_size > _HEADER_BYTES


def _is_installed() -> bool:
    # A folder named `wandb` in the current directory is found too, but has no origin.
    spec = importlib.util.find_spec("wandb")
    return spec is not None and spec.origin is not None


def _mode_of_environment() -> Mode:
    modes: dict[str, Mode] = {"": "auto", "online": "online", "run": "online"}
    modes |= {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}
    value = os.environ.get("WANDB_MODE", "")
    if value not in modes:
        raise TrackingError(
            "WANDB_MODE must be online, offline or disabled.",
            value=value,
            way_out="unset it, or set tracking.mode",
        )
    return modes[value]


def _key_problem() -> str | None:
    """Why wandb can't log in; None when it has a well-formed key."""
    import wandb

    with wandb_variables():
        try:
            # Asked in online mode, since wandb knows of no key in any other.
            wandb.setup(settings=wandb.Settings(silent=True, mode="online"))
            found = wandb.login(prompt=False, verify=False)
        except Exception as error:
            return brief(error)
    return None if found else "no API key found"


@contextmanager
def wandb_variables(folder: Path | None = None) -> Iterator[None]:
    """Settings that wandb takes from variables only. The user's own values stay.

    Its error reports are off: their exit hook waits 12 s for a server that is gone. The copy of
    the table that `wandb sync` sends goes to the study instead of the home folder.
    """
    ours = {"WANDB_ERROR_REPORTING": "false"}
    if folder is not None:
        ours["WANDB_DATA_DIR"] = str(folder / "wandb" / "data")
    ours = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def wandb_settings(timeout_s: float) -> wandb.Settings:
    import wandb

    return wandb.Settings(
        init_timeout=timeout_s,
        finish_timeout=timeout_s,
        finish_timeout_raises=True,
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


def brief(error: Exception) -> str:
    """First line of a message that may have many, or none."""
    unspoken = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return next(iter(str(error).splitlines()), "") or unspoken
