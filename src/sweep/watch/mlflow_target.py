"""Where MLflow's runs go: by our settings first, then by the shell's; and whether they can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sweep.core.errors import TrackingError
from sweep.core.optional import trouble_with

_EXPERIMENT = "sweep"
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class MlflowTarget:
    """A place that MLflow keeps runs in, and which of its experiments."""

    uri: str
    experiment: str = _EXPERIMENT

    @classmethod
    def of(cls, uri: str | None, project: str | None, results: Path) -> MlflowTarget:
        """What the settings leave open is as the shell has it; else a database in `results`."""
        shell = os.environ.get("MLFLOW_TRACKING_URI")
        experiment = project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        here = f"{_SQLITE}{(results.resolve() / 'mlflow.db').as_posix()}"
        return cls(uri or shell or here, experiment)

    @property
    def artifacts(self) -> str | None:
        """Where a new experiment's files go: beside a database of SQLite, not into the folder that
        the program was started from. None leaves it to the server."""
        if not self.uri.startswith(_SQLITE):
            return None
        database = Path(self.uri.removeprefix(_SQLITE)).resolve()
        return (database.parent / "mlartifacts").as_uri()

    @property
    def said(self) -> str:
        """Where the runs go, for people, without a password."""
        return f"MLflow logs to {_without_password(self.uri)}, experiment {self.experiment}"


def refuse_unusable(target: MlflowTarget, subject: str) -> None:
    """Refuse what needs an MLflow that is missing, broken, or can't write there.

    Raises:
        TrackingError: names the rule and the way out.
    """
    if urlsplit(target.uri).scheme in ("", "file") and not _may_be_a_folder():
        raise TrackingError(
            "MLflow keeps runs on a server or in a database, no more in a folder.",
            value=target.uri,
            way_out="tracking.uri=http://HOST:5000 or sqlite:///mlflow.db",
        )
    with mlflow_variables(1.0):
        trouble = trouble_with("mlflow")
    if trouble is not None:
        raise TrackingError(
            f"{subject} needs the package mlflow-skinny, or mlflow.",
            value=f"mlflow {trouble}",
            way_out="pip install mlflow-skinny, or tracking=wandb, or tracking=disabled",
        )


def _may_be_a_folder() -> bool:
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("1", "true")


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return uri.replace(parts.netloc, host, 1)


@contextmanager
def mlflow_variables(timeout_s: float) -> Iterator[None]:
    """Settings that MLflow takes from variables only. The user's own values stay.

    It would ask a server that is gone again for minutes, tell its makers of its use, and write
    about its database and its runs into the live view.
    """
    ours = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(round(timeout_s), 1)),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    ours = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
