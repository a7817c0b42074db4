"""Signals at random moments: does every study end as if nothing had happened?

    python benchmarks/kill.py [--kills 50] [--kills-a-study 5] [--signals KILL]
    python benchmarks/kill.py --kills 40 --signals HUP,USR1,USR2,TERM

`KILL` strikes at once; the others ask the sweep to end in order, within its `executor.grace_s`.

A pruned TPE sweep with two seeds on a tiny random model is started, killed at a moment drawn over
the time that an unbroken one takes, and started again; every other time with all its processes.
After some kills it may end. New studies follow until so many kills have struck one at work. In the
end: as many trials and runs as in the unbroken study, each once, none `running`.
"""

from __future__ import annotations

import argparse
import itertools
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
from common import runs_of, write
from optuna.trial import TrialState
from rich.progress import Progress

_TRIALS, _SEEDS = 8, 2
_GRACE_SECONDS = 10
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
        *(
            "tracking=disabled",
            "executor.workers=2",
            f"executor.grace_s={_GRACE_SECONDS}",
            f"results_dir={folder / 'results'}",
            _SPACE,
        ),
    ]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )


@dataclass(frozen=True)
class Blow:
    """What struck a sweep, when, and how it ended."""

    signal: str
    after_s: float
    group: bool
    exit_code: int
    seconds_to_end: float

    @property
    def is_in_order(self) -> bool:
        """Whether it ended as the signal asks, and in time."""
        number = signal.Signals[f"SIG{self.signal}"]
        expected = -number if number is signal.SIGKILL else 128 + number
        # It may have ended by itself at that moment; Python may not have come to listen yet.
        return self.exit_code in (0, expected, -number) and self.seconds_to_end <= _GRACE_SECONDS


def struck(
    process: subprocess.Popen[bytes], name: str, *, after: float, group: bool
) -> Blow | None:
    """What the signal came to; None where the sweep had ended before."""
    try:
        process.wait(after)
        return None
    except subprocess.TimeoutExpired:
        began = time.perf_counter()
        send = os.killpg if group else os.kill
        send(process.pid, signal.Signals[f"SIG{name}"])
        code = process.wait()
        return Blow(name, after, group, code, time.perf_counter() - began)


def ended(study: Path, exit_code: int) -> Ended:
    table = runs_of(study)
    storage = f"sqlite:///{study / 'study.db'}"
    trials = optuna.load_study(study_name=None, storage=storage).get_trials()
    counts = table.groupby("trial").size()
    # A trial that is pruned on its first seed is trained on no other.
    told = [t.number for t in trials if t.state is TrialState.COMPLETE]
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
        and found.runs == found.distinct_runs == found.records_on_disk
        and set(found.states) <= {"complete", "pruned"}
        and found.trials_without_all_runs == 0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--kills-a-study", type=int, default=5)
    parser.add_argument("--signals", default="KILL", help="names, one after the other")
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
        blows: list[Blow] = []
        names = itertools.cycle(asked.signals.split(","))
        with Progress() as progress:
            bar = progress.add_task("signals", total=asked.kills)
            while len(blows) < asked.kills:
                name = f"study-{len(studies)}"
                moments = [rng.uniform(0, seconds) for _ in range(asked.kills_a_study)]
                own = [
                    blow
                    for i, (after, kind) in enumerate(zip(moments, names, strict=False))
                    if (blow := struck(start(folder, name), kind, after=after, group=i % 2 == 1))
                ]
                code = start(folder, name).wait()
                found = ended(folder / "results" / name, code)
                told = [asdict(blow) for blow in own]
                studies.append({"blows": told, "whole": is_whole(found), **asdict(found)})
                if not is_whole(found) or not all(blow.is_in_order for blow in own):
                    print(name, found, own, (folder / f"{name}.log").read_text()[-3000:])
                print(name, [(b.signal, b.exit_code, round(b.seconds_to_end, 1)) for b in own])
                blows += own
                progress.update(bar, completed=len(blows))
    summary = {
        "signals": dict(Counter(blow.signal for blow in blows)),
        "in_order": sum(blow.is_in_order for blow in blows),
        "slowest_end_s": max(blow.seconds_to_end for blow in blows),
        "studies": len(studies),
        "whole": sum(study["whole"] for study in studies),
    }
    name = "kill" if asked.signals == "KILL" else "signals"
    print(write(name, {"unbroken_seconds": seconds, "summary": summary, "raw": studies}))
    print(summary)
    sys.exit(summary["whole"] != len(studies) or summary["in_order"] != len(blows))


if __name__ == "__main__":
    main()
