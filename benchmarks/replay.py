"""Same final choice, less work: searches replayed from recorded learning curves.

    python benchmarks/replay.py [--sweeps 60] [--only lora_asha]

The real search, loop and records run over `results/benchmarks/replay_curves.csv`
(`record_curves.py`); only training is a look into the table. Of each method are counted: how often
its choice lies within one seed-SD of the true best config (mean over all seeds), how far below it
lies on average, and the steps that were paid, as a share of the grid with one seed and of the whole
grid.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import write
from record_curves import CURVES, SEEDS, SPACE
from rich.progress import track

from sweep.config.compose import load_settings
from sweep.config.portfolio import start_of
from sweep.config.schema import SearchSettings
from sweep.core.recipe import SEARCHABLE_KEYS, Recipe
from sweep.execute.in_process import InProcess
from sweep.loop.confirm import Confirmation
from sweep.loop.orchestrator import Sweep
from sweep.loop.ports import Handle, Pack
from sweep.loop.rules import Rules
from sweep.loop.trial import Evaluated, Evaluation, Finished, Outcome, Paused, Run, RunState
from sweep.search import OptunaSearch, SearchTask
from sweep.space.points import point_of
from sweep.space.space import Params, parse_space
from sweep.study.notes import asked_to_stop
from sweep.study.tables import Results

SPACE_OF_TABLE = parse_space(SPACE, valid_keys=SEARCHABLE_KEYS)


@dataclass(frozen=True)
class Method:
    """A search, and how many of its leaders are confirmed on the other seeds."""

    search: SearchSettings
    confirm: int = 0
    #: Points that are tried first.
    first: Sequence[Params] = ()


class Recording:
    """The recorded curves, and the truth about the configs as far as the seeds tell it."""

    def __init__(self, path: Path) -> None:
        table = pd.read_csv(path, dtype=dict.fromkeys(SPACE, str))
        groups = table.groupby([*SPACE, "seed"])["pearson"]
        self.curves = {key: scores.tolist() for key, scores in groups}
        self.steps = sorted(table["step"].unique().tolist())
        finals = groups.max().unstack("seed")
        self.truth = finals.mean(axis=1)
        self.seed_sd = float(np.sqrt(finals.var(axis=1, ddof=1).mean()))

    def curve(self, params: Params, seed: int) -> list[float]:
        return self.curves[(*(str(params[name]) for name in SPACE), seed)]

    def shortfall(self, params: Params) -> float:
        """How far a config lies below the best one."""
        return float(self.truth.max() - self.truth[tuple(str(params[name]) for name in SPACE)])


class Replayed:
    """A trainer that reads its scores from the recording; counts the steps it was asked for."""

    def __init__(self, recording: Recording, seeds: Mapping[int, int]) -> None:
        self._recording = recording
        #: Recorded seed of every seed of the sweep.
        self._seeds = seeds
        self._reached: dict[str, int] = {}

    @property
    def steps(self) -> int:
        return sum(self._recording.steps[count - 1] for count in self._reached.values())

    def train(self, pack: Pack, runs_dir: Path, handle: Handle) -> None:
        for run in pack:
            self._train(run, runs_dir / run.id, handle)

    def _train(self, run: Run, folder: Path, handle: Handle) -> None:
        steps = self._recording.steps
        curve = self._recording.curve(run.params, self._seeds[run.recipe.seed])
        done: list[Evaluation] = []
        for step, score in zip(steps, curve, strict=True):
            done.append(Evaluation(step, 0.0, score, score, 0.0))
            self._reached[run.id] = max(self._reached.get(run.id, 0), len(done))
            handle(Evaluated(run.id, done[-1]))
            cut = Outcome(RunState.PRUNED, evaluations=tuple(done), steps=step)
            reason = asked_to_stop(folder)
            if step < steps[-1] and reason is not None:
                handle(Finished(run.id, replace(cut, reason=reason)))
                return
            if step < steps[-1] and run.until == len(done):
                handle(Paused(run.id, cut))
                return
        best = max(done, key=lambda evaluation: evaluation.score)
        outcome = replace(
            cut, state=RunState.COMPLETE, score=best.score, best_step=best.step, lora_params=1
        )
        handle(Finished(run.id, outcome))


def one_sweep(recording: Recording, method: Method, number: int) -> dict[str, float]:
    """Search once; every sweep has its own sampler seed and another order of the seeds."""
    order = np.random.default_rng(number).permutation(SEEDS).tolist()
    trainer = Replayed(recording, dict(enumerate(order)))
    search = method.search
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        optuna_search = OptunaSearch(
            folder / "study.db",
            SearchTask(
                name="replay",
                space=SPACE_OF_TABLE,
                sampler=search.sampler,
                num_trials=search.n_trials,
                sampler_seed=number,
                pruner=search.pruner,
                reduction=search.reduction,
                grace=search.grace,
                first=method.first,
            ),
        )
        results = Results(folder, searched_keys=SPACE_OF_TABLE.keys, versions={})
        Sweep(
            study="replay",
            search=optuna_search,
            executor=InProcess(trainer.train, runs_dir=folder / "runs"),
            records=results,
            watchers=[],
            expand=lambda params, seed: Recipe(seed=seed).with_values(
                SPACE_OF_TABLE.values(params)
            ),
            pack_key=lambda recipe: recipe.run_id,
            rules=Rules(
                seeds=(0,),
                reduction=search.reduction if search.pruner == "halving" else None,
                grace=search.grace,
                audit=search.audit,
                confirmation=Confirmation(top=method.confirm, seeds=2),
            ),
        ).run()
        shortfall = recording.shortfall(_choice(results))
    runs_of_grid = len(recording.truth)
    return {
        "shortfall": shortfall,
        "within_seed_sd": float(shortfall <= recording.seed_sd),
        "share_of_grid": trainer.steps / (runs_of_grid * recording.steps[-1]),
        "share_of_whole_grid": trainer.steps / (len(recording.curves) * recording.steps[-1]),
    }


def _choice(results: Results) -> Params:
    """The config that the sweep would export: by its confirmed score, where there is one."""
    scores: dict[str, dict[int, float]] = {}
    params: dict[str, Params] = {}
    for run, outcome in results.finished():
        if outcome.score is not None:
            scores.setdefault(run.recipe.config_id, {})[run.recipe.seed] = outcome.score
            params[run.recipe.config_id] = run.params
    fresh = {c: [s for seed, s in by.items() if seed > 0] for c, by in scores.items()}
    confirmed = {c: by for c, by in fresh.items() if by}
    compared = confirmed or {c: list(by.values()) for c, by in scores.items()}
    return params[max(compared, key=lambda config_id: float(np.mean(compared[config_id])))]


def methods() -> dict[str, Method]:
    """The default experiment, what it was before, and what one would else do for a like price."""
    settings = load_settings(["+experiment=lora_asha"])[0]
    asha, top = settings.search, settings.confirm.top
    base = settings.recipe(seed=0).value_of
    first = [point_of(SPACE_OF_TABLE, base), *start_of("portfolio", SPACE_OF_TABLE, base).points]
    before = dataclasses.replace(asha, n_trials=32, grace=3, reduction=3)
    return {
        "lora_asha": Method(asha, confirm=top, first=first),
        "lora_asha, without the portfolio": Method(asha, confirm=top, first=first[:1]),
        "lora_asha, not confirmed": Method(asha, first=first),
        "lora_asha before: 32 configs, cut at the third": Method(before, confirm=5),
        "grid, confirmed": Method(SearchSettings(sampler="grid"), confirm=3),
        "grid": Method(SearchSettings(sampler="grid")),
        "random, 12 configs": Method(SearchSettings(sampler="random", n_trials=12)),
        "Optuna TPE, 12 configs": Method(SearchSettings(sampler="tpe", n_trials=12)),
        "Optuna TPE + MedianPruner, 18 configs": Method(
            SearchSettings(sampler="tpe", n_trials=18, pruner="median", audit=0.0)
        ),
        "asynchronous halving, 32 configs": Method(dataclasses.replace(before, pruner="asha")),
    }


def summarised(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=60)
    parser.add_argument("--only", help="methods whose names begin so, in a file of their own")
    asked = parser.parse_args()
    recording = Recording(CURVES)
    raw = {
        name: [
            one_sweep(recording, method, number)
            for number in track(range(asked.sweeps), description=name)
        ]
        for name, method in methods().items()
        if name.startswith(asked.only or "")
    }
    content = {
        "curves": CURVES.name,
        "configs": len(recording.truth),
        "seed_standard_deviation": recording.seed_sd,
        "spread_of_configs": float(recording.truth.max() - recording.truth.min()),
        "raw": raw,
        "summary": {name: summarised(rows) for name, rows in raw.items()},
    }
    print(write(f"replay_{asked.only}" if asked.only else "replay", content))
    print(pd.DataFrame(content["summary"]).T.round(4).to_string())


if __name__ == "__main__":
    main()
