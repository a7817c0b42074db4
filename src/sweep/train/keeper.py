"""One run inside a pack: what its evaluations gave, and the adapter of the best of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sweep.core.arrays import Floats
from sweep.core.errors import RunFailed
from sweep.core.files import replacing_file, replacing_folder
from sweep.core.metric import Metric
from sweep.data.pairs import in_label_units
from sweep.loop.trial import Evaluation, Glimpse, Outcome, Run, RunState
from sweep.lora.model import targets_in
from sweep.lora.whole import AnyPack, WholeModel
from sweep.study.files import RunFiles
from sweep.train.checkpoints import Checkpoint
from sweep.train.scores import scores, why_no_score


@dataclass
class Keeper:
    """Follows a run; keeps `adapter/` and `predictions.npy` of its best dev evaluation.

    `predictions.npy` is `[N]`, in the units of the labels. `seconds` is the run's share of the
    time that its pack has taken.
    """

    run: Run
    folder: Path
    #: Where the run goes on; None starts it.
    checkpoint: Checkpoint | None = None
    evaluations: list[Evaluation] = field(default_factory=list)
    glimpses: list[Glimpse] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.checkpoint is not None:
            self.evaluations = list(self.checkpoint.evaluations)
            self.glimpses = list(self.checkpoint.glimpses)
            self.seconds = self.checkpoint.seconds

    @property
    def best(self) -> Evaluation:
        """The first evaluation with the highest score: it is the one whose adapter was kept."""
        return max(self.evaluations, key=lambda e: e.score)

    def evaluate(
        self, step: int, epoch: float, predictions: Floats, labels: Floats, pack: AnyPack
    ) -> Evaluation:
        """Score predictions `[N]` against labels `[N]`, both as the model is trained on them.

        Raises:
            RunFailed: there is no score.
        """
        precision, metric = self.run.recipe.trainer.precision, self._metric
        if reason := why_no_score(predictions, labels, metric, precision=precision):
            raise RunFailed(f"dev {metric.word} is undefined at step {step}: {reason}")
        score, beside = self._scores(predictions, labels)
        if not math.isfinite(score):
            raise RunFailed(f"dev {metric.word} is undefined at step {step}: it is {score}")
        wrong = predictions != labels if metric.of_classes else (predictions - labels) ** 2
        evaluation = Evaluation(step, epoch, score, beside, float(np.mean(wrong)))
        self.evaluations.append(evaluation)
        if self.best is evaluation:
            self._keep(predictions, pack)
        return evaluation

    def glimpse(self, step: int, predictions: Floats, labels: Floats) -> Glimpse | None:
        """Score predictions `[N]` for a few pairs; None where there is no score yet."""
        score, _ = self._scores(predictions, labels)
        if not math.isfinite(score):
            return None
        self.glimpses.append(Glimpse(step, score))
        return self.glimpses[-1]

    @property
    def _metric(self) -> Metric:
        return self.run.recipe.task.measure

    def _scores(self, predictions: Floats, labels: Floats) -> tuple[float, float]:
        recipe = self.run.recipe
        if self._metric.source is not None:
            # Correlations are the same on any scale; of somebody's function nobody knows.
            predictions, labels = (in_label_units(x, recipe.data) for x in (predictions, labels))
        return scores(predictions, labels, self._metric, precision=recipe.trainer.precision)

    def outcome(
        self,
        pack: AnyPack,
        *,
        steps: int,
        tokens: int,
        pack_size: int,
        peak_mb: float | None,
        base_mb: float,
    ) -> Outcome:
        """What a run that has come to its end leaves.

        Args:
            tokens: That it was trained on, without padding.
            pack_size: Runs that the pack began with.
        """
        ended = self.cut_short(pack, RunState.COMPLETE, None, steps=steps)
        return replace(
            ended,
            score=self.best.score,
            best_step=self.best.step,
            beside=self.best.beside,
            tokens_per_second=round(tokens / self.seconds, 1),
            peak_memory_mb=peak_mb,
            base_memory_mb=base_mb,
            pack_size=pack_size,
        )

    def cut_short(
        self, pack: AnyPack, state: RunState, reason: str | None, *, steps: int
    ) -> Outcome:
        """What a run that failed or was pruned leaves: no score, but what it cost and showed.

        One that failed by its own numbers would do so again.
        """
        return Outcome(
            state=state,
            reason=reason,
            score_last=self.evaluations[-1].score if self.evaluations else None,
            evaluations=tuple(self.evaluations),
            glimpses=tuple(self.glimpses),
            **self._sizes(pack),
            train_seconds=round(self.seconds, 2),
            steps=steps,
            recurs=state is RunState.FAILED,
        )

    def _sizes(self, pack: AnyPack) -> dict[str, Any]:
        """How much is trained; a run without adapters has none to count."""
        parameters = pack.run_parameters(self.run.id).values()
        trained = {"trained_params": sum(p.numel() for p in parameters)}
        if isinstance(pack, WholeModel):
            return trained
        targets = targets_in(self.run.recipe)
        return {
            "adapted_modules": len(targets.layers),
            "lora_params": pack.count_lora_params(self.run.id),
            "head_params": targets.head_params,
            **trained,
        }

    def _keep(self, predictions: Floats, pack: AnyPack) -> None:
        files = RunFiles(self.folder)
        with replacing_folder(files.weights(self.run.recipe.tuning)) as folder:
            pack.save(self.run.id, folder)
        with replacing_file(files.predictions) as path:
            np.save(path, in_label_units(predictions, self.run.recipe.data))
