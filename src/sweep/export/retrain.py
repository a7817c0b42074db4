"""An exported config, trained once more: does the score come again?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sweep.core.errors import VerificationError
from sweep.core.metric import PEARSON
from sweep.data.pairs import load_split
from sweep.export.exported import on_base, read_recipe
from sweep.export.verification import measured_score, score_tolerance
from sweep.loop.ports import Handle
from sweep.loop.trial import Event, Finished, Outcome, Run, Started
from sweep.study.files import ExportedFiles
from sweep.study.folder import versions
from sweep.study.reading import read_json
from sweep.train.runs import train_pack

#: How far apart the same training ends in float32 where it was alone then, too.
_ALONE = 1e-6
#: Libraries that compute.
_COMPUTING = ("torch", "transformers", "peft", "numpy")


@dataclass(frozen=True)
class Retrained:
    """The score on dev as the sweep has measured it, and of the same training here and now."""

    measured: float
    retrained: float
    #: Largest difference that is no difference.
    tolerance: float
    #: Libraries that compute, of which there is another version now: `torch 2.13.0, now 2.14.0`.
    changed: tuple[str, ...]
    #: The word for what the scores are.
    metric: str = PEARSON.word

    def check(self) -> None:
        """
        Raises:
            VerificationError: the scores differ by more than the tolerance.
        """
        difference = abs(self.retrained - self.measured)
        if difference <= self.tolerance:
            return
        why = f"; versions differ: {', '.join(self.changed)}" if self.changed else ""
        raise VerificationError(
            f"Trained again, dev {self.metric} is {self.retrained:.6f}; the sweep measured "
            f"{self.measured:.6f}. They must agree within {self.tolerance:g}{why}"
        )


def exported_run(folder: Path, *, base: str | None = None) -> Run:
    """The run of an exported folder.

    Args:
        base: Where the base model lies, if not where it was at the training.

    Raises:
        ExportError: the folder is not an exported one.
    """
    return Run(0, {}, on_base(read_recipe(folder), folder, base))


def retrain(run: Run, folder: Path, handle: Handle) -> Retrained:
    """Train the run of an exported folder again, with its seed, alone, on one thread.

    Nothing of the folder is changed, and nothing of the training is kept.

    Args:
        handle: Told of the run's events, `Started` first.

    Raises:
        ExportError: the folder is not an exported one.
        VerificationError: the training fails.
    """
    recipe = run.recipe
    measured, metric = measured_score(folder, recipe)
    metrics = read_json(ExportedFiles(folder).metrics, dict[str, Any], otherwise="") or {}
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="sweep-retrain-") as scratch:
        outcome = trained_again(run, Path(scratch), handle)
    if outcome.score is None:
        raise VerificationError(f"Trained again, the run ends as {outcome.state}: {outcome.reason}")
    is_alone = metrics.get("pack_size") == 1 and recipe.trainer.precision == "fp32"
    labels = load_split(recipe.data, "dev").labels
    assert labels is not None
    tolerance = _ALONE if is_alone else score_tolerance(recipe, measured, labels)
    score = outcome.score if metric == recipe.task.measure else outcome.beside
    assert score is not None
    changed = _changed(metrics.get("versions") or {})
    return Retrained(measured, score, tolerance, changed, metric.word)


def trained_again(run: Run, folder: Path, handle: Handle) -> Outcome:
    """What the run comes to, trained alone, in a folder of its own below this one."""
    ended: list[Outcome] = []

    def note(event: Event) -> None:
        if isinstance(event, Finished):
            ended.append(event.outcome)
        handle(event)

    (folder / run.id).mkdir()
    handle(Started(run.id, "here"))
    train_pack((run,), folder, note)
    return ended[0]


def _changed(then: Mapping[str, str]) -> tuple[str, ...]:
    now = versions()
    return tuple(
        f"{name} {then[name]}, now {now[name]}"
        for name in _COMPUTING
        if name in then and name in now and then[name] != now[name]
    )
