"""Where a run was at its last evaluation, on disk, so that an interrupted run goes on there.

A few MB a run: adapter, head, optimizer, schedule, random state. Going on from a checkpoint gives
the same result as never having been interrupted.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sweep.core.files import replacing_file
from sweep.core.metric import PEARSON
from sweep.loop.trial import Evaluation, Glimpse
from sweep.study.files import RunFiles

logger = logging.getLogger(__name__)

#: Another of these may compute something else: the run then starts over.
_LIBRARIES = ("torch", "transformers", "peft", "sweep")


@dataclass(frozen=True)
class Checkpoint:
    """The state of one run after `step` optimizer steps.

    Args:
        trainer_state: transformers' `TrainerState`, as JSON.
        micro_batches: Batches seen; keys the random draws.
        tokens: Trained on, without padding.
        seconds: The run's share of the time so far.
        weights: What the run trains, by parameter name.
        random_states: Of torch's generators, by kind of device, for models that draw by themselves.
    """

    step: int
    trainer_state: str
    micro_batches: int
    tokens: int
    seconds: float
    evaluations: tuple[Evaluation, ...]
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    random_states: dict[str, Tensor]
    glimpses: tuple[Glimpse, ...] = ()
    #: Of the loss in fp16.
    scaler: dict[str, Any] = field(default_factory=dict)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a run's folder in one move."""
    content = {one.name: getattr(checkpoint, one.name) for one in dataclasses.fields(checkpoint)}
    for name in ("evaluations", "glimpses"):
        content[name] = [dataclasses.asdict(one) for one in content[name]]
    with replacing_file(RunFiles(folder).checkpoint) as path:
        torch.save({"made_by": _made_by(), **content}, path)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint of a run's folder; None where there is none that can be gone on from."""
    path = RunFiles(folder).checkpoint
    if not path.is_file():
        return None
    try:
        content = torch.load(path, weights_only=True)
        made_by = content.pop("made_by")
        # Scores had the name of the only metric that there was.
        rungs, between = (
            [PEARSON.from_files(fields) for fields in content.pop(name, ())]
            for name in ("evaluations", "glimpses")
        )
        evaluations = tuple(Evaluation(**fields) for fields in rungs)
        glimpses = tuple(Glimpse(**fields) for fields in between)
        checkpoint = Checkpoint(**content, evaluations=evaluations, glimpses=glimpses)
    except MemoryError:
        raise
    # torch, zip and pickle raise a dozen kinds for a file that is not whole.
    except Exception as error:
        logger.warning("%s can't be read (%s); the run starts over.", path, error)
        return None
    if made_by != _made_by():
        logger.warning("%s is of %s; the run starts over.", path, made_by)
        return None
    return checkpoint


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Of the generators that a training on this device draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Draw on as at the time of `random_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _made_by() -> dict[str, str]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {"device": device, **{name: version(name) for name in _LIBRARIES}}
