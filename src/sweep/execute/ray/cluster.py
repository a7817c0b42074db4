"""A cluster of Ray: one of this machine, begun and ended here, or one that is there."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sweep.core.errors import ConfigError
from sweep.core.optional import trouble_with
from sweep.execute.children import ASKS_TO_STOP

#: Bytes that a cluster of ours keeps for what is under way between driver and actors.
_STORE = 512 << 20
#: Seconds until a cluster has answered.
_ANSWER = 10.0


def refuse_without_ray() -> None:
    """Raises ConfigError where nothing can be started from here."""
    trouble = trouble_with("ray")
    if trouble is not None:
        raise ConfigError(
            "`executor=ray` needs the package `ray`.",
            value=f"ray {trouble}",
            way_out='`pip install "sweep[ray]"`; executor=processes does without it on one machine',
        )


def refuse_unreachable(address: str | None) -> None:
    """Raises ConfigError where nobody answers at `host:port`: Ray itself would ask for minutes."""
    host, colon, port = _place_of(address).rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(f"{host}:{port}", error) from None


def join(address: str | None, *, cpus: int) -> bool:
    """Be a driver of the cluster at this address; whether it is for us to leave it.

    Args:
        address: `host:port`, or `auto` for the one that this machine belongs to; None begins one
            here, unless `RAY_ADDRESS` names one.
        cpus: Of a cluster that is begun here.

    Raises:
        ConfigError: ray is not installed, or there is no cluster at the address.
    """
    refuse_without_ray()
    refuse_unreachable(address)
    import ray

    if ray.is_initialized():
        return False
    # Nothing is told to anybody; which GPUs an actor sees, it finds out itself.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    where = _place_of(address)
    own: dict[str, Any] = {}
    if where == "local":
        own = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": _STORE}
    try:
        with _signals_are_ours():
            ray.init(where, log_to_driver=False, configure_logging=False, **own)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise _no_cluster(where, error) from None
    return True


def leave() -> None:
    """No driver any more; a cluster that was begun here ends."""
    import ray

    with _signals_are_ours():
        ray.shutdown()


@contextmanager
def signals_let_out() -> Iterator[None]:
    """What a signal raises in the middle of a call comes out of Ray's C code as a SystemError."""
    try:
        yield
    except SystemError as error:
        raise (error.__cause__ or error) from None


@contextmanager
def _signals_are_ours() -> Iterator[None]:
    """Ray answers SIGTERM itself, and its processes die of what a terminal sends to the group."""
    before: dict[int, Any] = {number: signal.getsignal(number) for number in ASKS_TO_STOP}
    # It ends its processes by that one.
    blocked = set(ASKS_TO_STOP) - {signal.SIGTERM}
    heard = None
    if hasattr(signal, "pthread_sigmask"):
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        if heard is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _place_of(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _no_cluster(where: str, error: BaseException) -> ConfigError:
    return ConfigError(
        "`executor.address` must be that of a Ray cluster that runs.",
        value=f"`{where}`: {_first_line(error)}",
        way_out="`ray status` shows it; `executor.address=auto` on one of its machines, or none "
        "for a cluster of this machine alone",
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:200]
