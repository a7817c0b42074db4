"""kill -9 at random moments: does every study end as if nothing had happened?

    python benchmarks/kill.py [--kills 50] [--kills-a-study 5]

A pruned TPE sweep with two seeds on a tiny random model is started, killed at a moment drawn over
the time that an unbroken one takes, and started again; every other time with all its processes.
After some kills it may end. New studies follow until so many kills have struck one at work. In the
end: as many trials and runs as in the unbroken study, each once, none `running`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from common import write
from rich.progress import Progress

_TRIALS, _SEEDS = 8, 2
_SPACE = "search.space={lora.r:[2,4,8],trainer.learning_rate:{low:1e-4,high:1e-2,log:true}}"
_WORDS = "abcdefghijklmnopqrstuvwxyz'-.,!?0123456789"


@dataclass(frozen=True)
class Ended:
    """What a study holds once it has come to its end."""

    exit_code: int
    trials: dict[str, int]
    runs: int
    distinct_runs: int
    states: dict[str, int]
    records_on_disk: int
    trials_without_all_runs: int


def make_model(folder: Path) -> None:
    """A random BERT of two narrow layers whose tokenizer spells words out."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir()
    pieces = [*_WORDS, *(f"##{letter}" for letter in _WORDS)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)


def start(folder: Path, name: str) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "sweep", f"model.path={folder / 'model'}", f"name={name}"),
        *("data.max_train_rows=128", "data.max_dev_rows=64", "data.max_length=64"),
        *("trainer=smoke", "trainer.max_steps=24", "trainer.eval_steps=4"),
        *("trainer.precision=fp32", "search=tpe", f"search.n_trials={_TRIALS}"),
        *("search.pruner=median", f"search.seeds={list(range(_SEEDS))}".replace(" ", "")),
        # A race or a confirmation adds runs as the scores go: here their number is to be known.
        *("search.race=false", "confirm=none"),
        *("tracking=disabled", "executor.workers=2", f"results_dir={folder / 'results'}", _SPACE),
    ]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )


def killed(process: subprocess.Popen[bytes], *, after: float, group: bool) -> bool:
    """Whether it was still at work at that moment; if so, it is dead now."""
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        return True


def ended(study: Path, exit_code: int) -> Ended:
    table = pd.read_csv(study / "table.csv")
    storage = f"sqlite:///{study / 'study.db'}"
    trials = optuna.load_study(study_name=None, storage=storage).get_trials()
    counts = table.groupby("trial").size()
    told = [t.number for t in trials if t.state.is_finished()]
    return Ended(
        exit_code=exit_code,
        trials=dict(Counter(t.state.name for t in trials)),
        runs=len(table),
        distinct_runs=len(table[["config_id", "seed"]].drop_duplicates()),
        states=dict(Counter(table["state"])),
        records_on_disk=len(list(study.glob("runs/*/run.json"))),
        trials_without_all_runs=sum(int(counts.get(n, 0)) != _SEEDS for n in told),
    )


def is_whole(found: Ended) -> bool:
    """As many trials and runs as were asked for, each once, all ended."""
    scored = found.trials.get("COMPLETE", 0) + found.trials.get("PRUNED", 0)
    return (
        found.exit_code == 0
        and scored == sum(found.trials.values()) == _TRIALS
        and found.runs == found.distinct_runs == found.records_on_disk == _TRIALS * _SEEDS
        and set(found.states) <= {"complete", "pruned"}
        and found.trials_without_all_runs == 0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-a-study", type=int, default=5)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rng = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="sweep-kill-") as scratch:
        folder = Path(scratch)
        make_model(folder / "model")
        began = time.perf_counter()
        code = start(folder, "unbroken").wait()
        seconds = time.perf_counter() - began
        unbroken = ended(folder / "results" / "unbroken", code)
        assert is_whole(unbroken), unbroken
        studies: list[dict[str, Any]] = []
        struck = 0
        with Progress() as progress:
            bar = progress.add_task("kills", total=asked.kills)
            while struck < asked.kills:
                name = f"study-{len(studies)}"
                moments = [rng.uniform(0, seconds) for _ in range(asked.kills_a_study)]
                dead = [
                    after
                    for i, after in enumerate(moments)
                    if killed(start(folder, name), after=after, group=i % 2 == 1)
                ]
                code = start(folder, name).wait()
                found = ended(folder / "results" / name, code)
                studies.append({"killed_after_s": dead, "whole": is_whole(found), **asdict(found)})
                if not is_whole(found):
                    print(name, found, (folder / f"{name}.log").read_text()[-3000:])
                struck += len(dead)
                progress.update(bar, completed=struck)
    summary = {
        "kills": struck,
        "studies": len(studies),
        "whole": sum(study["whole"] for study in studies),
    }
    print(write("kill", {"unbroken_seconds": seconds, "summary": summary, "raw": studies}))
    print(summary)
    sys.exit(summary["whole"] != len(studies))


if __name__ == "__main__":
    main()
