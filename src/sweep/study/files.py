"""What lies where in a study's folder. No other room knows the name of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.core.files import plain_name

#: Of the folder as a whole, in its settings. A reader of an older program refuses a newer one.
FORMAT = 1


def pause_note(runs: Path) -> Path:
    """Beside the runs' folders: it asks every run to make way, at its next rung or step."""
    return runs / ".pause"


@dataclass(frozen=True)
class RunFiles:
    """The folder of a run."""

    folder: Path

    @property
    def record(self) -> Path:
        """What is known of a run that has ended."""
        return self.folder / "run.json"

    @property
    def adapter(self) -> Path:
        """Of the best dev evaluation, as PEFT saves it."""
        return self.folder / "adapter"

    @property
    def adapter_files(self) -> tuple[Path, ...]:
        """All that a training writes there, weights first."""
        names = ("adapter_model.safetensors", "adapter_config.json")
        return tuple(self.adapter / name for name in names)

    @property
    def has_adapter(self) -> bool:
        """Whether it was kept."""
        return self.adapter_files[0].is_file()

    @property
    def model(self) -> Path:
        """Of a run that is tuned in full, until its test pairs are scored."""
        return self.folder / "model"

    def weights(self, tuning: str) -> Path:
        """Of the best dev evaluation: an adapter, or a whole model."""
        return self.model if tuning == "full" else self.adapter

    @property
    def predictions(self) -> Path:
        """For dev, by that adapter: `[N]` in the units of the labels."""
        return self.folder / "predictions.npy"

    def set_aside(self, digest: str) -> Path:
        """Predictions of a whole model for pairs of this digest: `[N]`, as for dev."""
        return self.folder / f"set_aside_{digest}.npy"

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished run was at its last rung."""
        return self.folder / "rung.pt"

    @property
    def stop(self) -> Path:
        """A note that asks the run to end."""
        return self.folder / "stop"

    def remove_checkpoint(self) -> None:
        """A finished run needs none."""
        self.checkpoint.unlink(missing_ok=True)


@dataclass(frozen=True)
class StudyFiles:
    """The folder of a study."""

    folder: Path

    @property
    def settings(self) -> Path:
        """What the study was begun with, its fingerprints and versions."""
        return self.folder / "config.yaml"

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    @property
    def lock_marker(self) -> Path:
        """Stands for the lock where the disk keeps none."""
        return self.folder / ".lock-marker"

    @property
    def driver(self) -> Path:
        """Which process holds the lock, in words."""
        return self.folder / ".driver"

    @property
    def database(self) -> Path:
        return self.folder / "study.db"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def run(self, run_id: str) -> RunFiles:
        return RunFiles(self.runs / plain_name(run_id))

    @property
    def full(self) -> StudyFiles:
        """Runs of full fine-tuning, and their logs: apart, so that nobody takes them for LoRA's."""
        return StudyFiles(self.folder / "full_tuning")

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def exchange(self) -> Path:
        """Where a driver and workers of other machines talk; `ExchangeFiles` says what is in it."""
        return self.folder / "exchange"

    @property
    def wandb(self) -> Path:
        return self.folder / "wandb"

    @property
    def wandb_ledger(self) -> Path:
        """What wandb holds of the study."""
        return self.folder / "wandb.json"

    @property
    def mlflow(self) -> Path:
        return self.folder / "mlflow.json"

    @property
    def added(self) -> Path:
        """Notes of configs that somebody has added."""
        return self.folder / "added"

    @property
    def table(self) -> Path:
        """A row per run."""
        return self.folder / "table.csv"

    @property
    def leaderboard(self) -> Path:
        """A row per config."""
        return self.folder / "leaderboard.csv"

    @property
    def verdict(self) -> Path:
        return self.folder / "verdict.json"

    @property
    def looks(self) -> Path:
        """Which verdicts were shown while the study grew."""
        return self.folder / "looks.json"

    @property
    def confirmation(self) -> Path:
        """What a sweep has begun to confirm."""
        return self.folder / "confirmation.json"

    @property
    def effects(self) -> Path:
        """A row per level of each searched key."""
        return self.folder / "effects.csv"

    @property
    def effects_in_words(self) -> Path:
        return self.folder / "effects.json"

    @property
    def importance(self) -> Path:
        """A row per searched key."""
        return self.folder / "importance.csv"

    @property
    def rank_use(self) -> Path:
        """A row per adapted module of each kept adapter."""
        return self.folder / "rank_use.csv"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def guard(self) -> Path:
        """What was found in the pairs."""
        return self.folder / "guard.json"

    @property
    def dev_labels(self) -> Path:
        """`[N]`."""
        return self.folder / "dev_labels.npy"

    @property
    def baselines(self) -> Path:
        """What the frozen base scores without LoRA."""
        return self.folder / "baselines.json"

    @property
    def test_scores(self) -> Path:
        return self.folder / "test.json"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    @property
    def figures(self) -> Path:
        """The report's plots as files."""
        return self.folder / "figures"

    @property
    def best(self) -> Path:
        """The export of the best run; `ExportedFiles` says what is in it."""
        return self.folder / "best"

    def export(self, run_id: str) -> Path:
        """The export of another run."""
        return self.folder / "export" / plain_name(run_id)

    @property
    def of_the_driver(self) -> frozenset[str]:
        """Names that stay where they are while everything else is moved aside."""
        return frozenset({self.lock.name, self.lock_marker.name, self.driver.name})


@dataclass(frozen=True)
class ExportedFiles:
    """What is handed over: a folder that is whole without its study."""

    folder: Path

    @property
    def settings(self) -> Path:
        """An experiment that trains the same run again."""
        return self.folder / "config.yaml"

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def card(self) -> Path:
        return self.folder / "README.md"

    @property
    def merged(self) -> Path:
        """Base and adapter as one model."""
        return self.folder / "merged"

    @property
    def onnx(self) -> Path:
        """The merged model for onnxruntime, where that was asked for."""
        return self.folder / "onnx"

    @property
    def int8(self) -> Path:
        """The same with weights in eight bits."""
        return self.folder / "int8"

    @property
    def costs(self) -> Path:
        """What scoring takes in each form, as it was last measured."""
        return self.folder / "cost.json"

    @property
    def picture(self) -> Path:
        return self.folder / "cost.svg"

    @property
    def names(self) -> frozenset[str]:
        """All that such a folder may hold."""
        own = (self.settings, self.adapter, self.tokenizer, self.metrics, self.card)
        forms = (self.merged, self.onnx, self.int8)
        return frozenset(path.name for path in (*own, *forms, self.costs, self.picture))
