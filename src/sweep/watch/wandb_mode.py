"""Online, offline or disabled: who decides, and what is said about it."""

from __future__ import annotations

import os
from typing import Literal

from sweep.core.errors import TrackingError
from sweep.core.optional import trouble_with
from sweep.watch.tracking import brief
from sweep.watch.wandb_setup import LiveMode, wandb_variables

Mode = Literal["auto", "online", "offline", "disabled"]
#: What a mode comes to on a machine.
Tracking = LiveMode | Literal["disabled"]
#: As Hugging Face's Trainer reads `WANDB_DISABLED`.
_YES = ("1", "true", "yes", "on")
_VARIABLES = ("WANDB_DISABLED", "WANDB_MODE")
_LATER = "`python -m sweep wandb STUDY` writes the runs to it later"


def resolve_mode(mode: Mode) -> tuple[Tracking, str | None]:
    """What `tracking.mode` comes to on this machine, and a line for the user if there is news.

    `auto` follows `WANDB_DISABLED` and `WANDB_MODE` where they are set; else it is online when
    wandb finds a key (its variable, settings or netrc) and offline when it does not. Any other mode
    beats both. Neither the network nor a prompt is used, and the key's validity is not checked.

    Raises:
        TrackingError: online without a key, a mode without a package that works, a bad
            `WANDB_MODE`.
    """
    wanted = _mode_of_environment() if mode == "auto" else mode
    if wanted == "disabled":
        return "disabled", None if mode != "auto" else _why_disabled()
    trouble = trouble_with("wandb")
    if trouble is not None and mode == "auto":
        return "disabled", f"wandb {trouble}, so nothing is tracked: {_way_out(trouble)}; {_LATER}"
    refuse_broken(trouble, f"`tracking.mode: {wanted}`")
    problem = None if wanted == "offline" else _key_problem()
    if wanted == "online" and problem is not None:
        raise _no_key(problem)
    overruled = None if mode == "auto" else _overruled(mode)
    if wanted == "offline" or problem is not None:
        why = f" ({problem or overruled})" if problem or overruled else ""
        return "offline", (
            f"wandb logs offline{why}; to send it: `sh wandb/sync.sh` in the study, or "
            "`python -m sweep wandb STUDY --online`"
        )
    return "online", f"wandb logs online ({overruled})" if overruled else None


def refuse_broken(trouble: str | None, subject: str) -> None:
    """Refuse what needs a wandb that is missing or broken.

    Raises:
        TrackingError: there is trouble.
    """
    if trouble is not None:
        raise TrackingError(
            f"{subject} needs the package wandb.",
            value=f"wandb {trouble}",
            way_out=f"{_way_out(trouble)}, or tracking.mode=disabled",
        )


def refuse_without_key() -> None:
    """Refuse to send where wandb can't log in.

    Raises:
        TrackingError: there is no key.
    """
    problem = _key_problem()
    if problem is not None:
        raise _no_key(problem)


def _no_key(problem: str) -> TrackingError:
    return TrackingError(
        "wandb's online mode needs an API key.",
        value=problem,
        way_out="`wandb login`, or set WANDB_API_KEY, or tracking.mode=offline",
    )


def _way_out(trouble: str) -> str:
    is_missing = trouble == "is not installed"
    return "pip install wandb" if is_missing else "pip install --force-reinstall wandb"


def _mode_of_environment() -> Mode:
    if os.environ.get("WANDB_DISABLED", "").lower() in _YES:
        return "disabled"
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


def _overruled(mode: Mode) -> str | None:
    """What the shell says otherwise than the settings, which come first."""
    said = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    if not said or _mode_of_environment() == mode:
        return None
    return f"tracking.mode={mode}, before {' and '.join(said)}"


def _why_disabled() -> str:
    variable = "WANDB_DISABLED" if os.environ.get("WANDB_DISABLED") else "WANDB_MODE"
    return f"wandb is disabled ({variable}={os.environ[variable]}); {_LATER}"


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
