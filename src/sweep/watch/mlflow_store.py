"""A study's runs at MLflow: found or begun, filled and ended. All calls to MLflow are here.

MLflow itself knows what it holds: each run has a tag with the id of its study and, once it is
whole, one with its attempt. So a study that was killed goes on in the same runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.core.metric import Metric
from sweep.loop.trial import Evaluation
from sweep.watch.mlflow_target import MlflowTarget
from sweep.watch.tracked_values import scores_at

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Tags by which runs are found again.
_STUDY, _RUN, _ATTEMPT = "study_id", "run_id", "attempt"
#: Stands for a run's id, for the run that all others are nested in.
_PARENT = "study"
_NOTE = "mlflow.note.content"
#: MLflow takes 1000 values in a call, and this many characters of a tag.
_MOST_VALUES, _MOST_CHARACTERS = 900, 5000


@dataclass
class _Known:
    """A run that MLflow has."""

    id: str
    #: Which attempt it holds in full; None while there is none.
    attempt: str | None
    #: Whether it is known that no evaluation is logged there yet.
    is_empty: bool = False


class MlflowStore:
    """Raises whatever MLflow has to say; the next call tries anew.

    Args:
        study_id: Of the study, the same at every start.
        study: Its name.
    """

    def __init__(self, target: MlflowTarget, *, study_id: str, study: str) -> None:
        self._target = target
        self._study_id = study_id
        self._study = study

    def holds(self, run_id: str, attempt: str) -> bool:
        known = self._runs.get(run_id)
        return known is not None and known.attempt == attempt

    def begin(self, run_id: str, name: str, config: Mapping[str, Any]) -> None:
        """A run trains now, or is written; one that MLflow knows goes on."""
        known = self._runs.get(run_id)
        if known is not None:
            known.attempt = None
            self._client.update_run(known.id, status="RUNNING")
            return
        parent = {"mlflow.parentRunId": self._parent}
        tags = {**parent, **_as_tags({"kind": "run", **config}), _RUN: run_id}
        known = self._create(run_id, name, tags)
        self._log(known.id, params=config)

    def last_step(self, run_id: str, metric: Metric) -> int:
        """Up to which MLflow has a run's evaluations; -1 where it has none."""
        return max((step for step, _ in self._history(run_id, metric)), default=-1)

    def log(self, run_id: str, evaluations: Iterable[Evaluation], metric: Metric) -> None:
        """Evaluations, each at its step."""
        known = self._runs[run_id]
        points = [
            (key, value, step)
            for step, scores in (scores_at(evaluation, metric) for evaluation in evaluations)
            for key, value in scores.items()
        ]
        known.is_empty = known.is_empty and not points
        for start in range(0, len(points), _MOST_VALUES):
            self._log(known.id, points=points[start : start + _MOST_VALUES])

    def log_missing(self, run_id: str, evaluations: Sequence[Evaluation], metric: Metric) -> None:
        """Those that MLflow lacks of them: what it has got live is not logged twice."""
        held = self._history(run_id, metric)
        self.log(run_id, [e for e in evaluations if (e.step, e.score) not in held], metric)

    def _history(self, run_id: str, metric: Metric) -> set[tuple[int, float]]:
        """Step and score of a run's evaluations at MLflow."""
        known = self._runs[run_id]
        if known.is_empty:
            return set()
        points = self._client.get_metric_history(known.id, f"dev/{metric.name}")
        return {(point.step, point.value) for point in points}

    def end(self, run_id: str, summary: Mapping[str, Any], *, status: str, attempt: str) -> None:
        """What a run came to; numbers are metrics, words are tags. Only then it is whole."""
        known = self._runs[run_id]
        self._client.set_terminated(known.id, status)
        numbers = {k: v for k, v in summary.items() if isinstance(v, int | float)}
        words = {k: v for k, v in summary.items() if isinstance(v, str)}
        self._log(
            known.id,
            points=[(key, float(value), 0) for key, value in numbers.items()],
            tags={**words, _ATTEMPT: attempt},
        )
        known.attempt = attempt

    def stop(self, run_id: str) -> None:
        """A run that is trained on later."""
        if run_id in self._runs:
            self._client.set_terminated(self._runs[run_id].id, "KILLED")

    def write_study(
        self, summary: Mapping[str, Any], *, note: str, files: Iterable[Path], attempt: str
    ) -> None:
        """The study's own run: what it came to, what a person reads first, and its files."""
        for file in files:
            self._client.log_artifact(self._parent, str(file))
        self._log(self._parent, tags={_NOTE: note})
        self.end(_PARENT, summary, status="FINISHED", attempt=attempt)

    def holds_study(self, attempt: str) -> bool:
        return self.holds(_PARENT, attempt)

    @cached_property
    def _client(self) -> MlflowClient:
        # It takes two seconds to import, and a sweep without it does not need it.
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._target.uri)

    @cached_property
    def _experiment(self) -> str:
        name = self._target.experiment
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name, self._target.artifacts))
        except Exception:  # Another sweep has made it meanwhile, or it can't be made.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    @cached_property
    def _runs(self) -> dict[str, _Known]:
        """What MLflow has of the study, by our id of a run."""
        found: dict[str, _Known] = {}
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.{_STUDY} = '{self._study_id}'",
                max_results=1000,
                page_token=token or None,
            )
            for run in page:
                tags = run.data.tags
                found[tags.get(_RUN, _PARENT)] = _Known(run.info.run_id, tags.get(_ATTEMPT))
            token = page.token or None
        return found

    @property
    def _parent(self) -> str:
        """The run that all others are nested in."""
        known = self._runs.get(_PARENT)
        if known is None:
            tags = _as_tags({"kind": "study", "study": self._study})
            known = self._create(_PARENT, self._study, tags)
        return known.id

    def _create(self, run_id: str, name: str, tags: Mapping[str, str]) -> _Known:
        made = self._client.create_run(
            self._experiment, run_name=name, tags={**tags, _STUDY: self._study_id}
        )
        self._runs[run_id] = known = _Known(made.info.run_id, None, is_empty=True)
        return known

    def _log(
        self,
        mlflow_id: str,
        *,
        points: Iterable[tuple[str, float, int]] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        from mlflow.entities import Metric as Point
        from mlflow.entities import Param, RunTag

        now = int(time.time() * 1000)
        known = ((k, v, s) for k, v, s in points if v is not None and not math.isinf(v))
        self._client.log_batch(
            mlflow_id,
            metrics=[Point(key, value, now, step) for key, value, step in known],
            params=[Param(k, v) for k, v in _as_tags(params or {}).items()],
            tags=[RunTag(k, v) for k, v in _as_tags(tags or {}).items()],
        )


def _as_tags(values: Mapping[str, Any]) -> dict[str, str]:
    return {k: str(v)[:_MOST_CHARACTERS] for k, v in values.items() if v is not None}
