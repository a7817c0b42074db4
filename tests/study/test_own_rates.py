"""Ranks at their own learning rates: in the study's files, at the end of a sweep, in its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studies import KEYS, LABELS, NOISE, VERSIONS, config_file, outcome_of, page
from surfaces import made_up
from sweep.core.recipe import Recipe
from sweep.loop.trial import Finished, Run
from sweep.stats.rate_table import Scored
from sweep.study.effects_files import own_rates_lines, write_findings
from sweep.study.study import Study
from sweep.study.tables import Results
from sweep.watch.report import study_figures

RATE = "trainer.learning_rate"


def trained(folder: Path, configs: Sequence[Scored]) -> Results:
    """A study whose configs have about these scores."""
    folder.mkdir()
    config_file(folder, name="ranks", more={RATE: [1e-4, 1e-2]})
    np.save(folder / "dev_labels.npy", LABELS)
    results = Results(folder, searched_keys=(*KEYS, RATE), versions=VERSIONS)
    for trial, config in enumerate(configs):
        values: dict[str, Any] = {
            "lora.r": config.adapter.rank,
            "lora.lora_alpha": config.adapter.alpha,
            "lora.target_modules": config.others["targets"],
            RATE: config.rate,
        }
        run = Run(trial, {"cell": trial}, replace(Recipe().with_values(values), seed=0))
        share = max(config.score, 0.02)
        spread = np.std(LABELS) * np.sqrt(1 / share**2 - 1)
        predictions = LABELS + spread * NOISE / np.std(NOISE)
        results.add(run)
        run_dir = folder / "runs" / run.id
        run_dir.mkdir(parents=True)
        np.save(run_dir / "predictions.npy", predictions)
        results.handle(Finished(run.id, outcome_of(run, predictions)))
    results.write_tables()
    write_findings(results.search_ranking(), folder, keys=results.keys)
    return results


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    configs = made_up(11, count=48, ranks=(4, 8, 16), rules=("fixed", "double"))
    folder = tmp_path_factory.mktemp("own") / "ranks"
    trained(folder, configs)
    return folder


@pytest.mark.long
def test_study_hands_out_what_ranks_are_worth_at_their_own_rates(folder: Path) -> None:
    found = Study.open(folder).effects
    assert found.own_rates is not None
    assert {slope.rule for slope in found.own_rates.slopes} == {"alpha 16", "alpha 2r"}
    assert {effect.key for effect in found.own_rates.effects} >= {
        *("r", "alpha rule", "lora.target_modules")
    }
    assert found.own_rates.num_configs == 48
    first, *more = own_rates_lines(found.own_rates)
    assert first.startswith("rates    alpha ")
    assert all(line[:9].isspace() for line in more)
    assert {line[9:] for line in (first, *more)} <= set(found.sentences)
    assert any("where the rank law says r^-0.5" in line for line in more)


@pytest.mark.long
def test_report_has_one_figure_and_a_table_of_best_rates(folder: Path) -> None:
    found = Study.open(folder).effects.own_rates
    assert found is not None
    shown = page(folder)
    assert "Ranks at their own best learning rates" in shown.text
    assert found.rates[0].rule in shown.cells
    assert f"{found.rates[0].score.value:.4f}" in shown.cells
    (name,) = [name for name in study_figures(folder) if name.startswith("own")]
    figure = study_figures(folder)[name]
    marks = [trace for trace in figure["data"] if trace["mode"] == "markers"]
    assert sum(len(trace["x"]) for trace in marks) == len(found.rates)
    lines = [trace for trace in figure["data"] if trace["mode"] == "lines"]
    assert len(lines) == len(found.slopes)


@pytest.mark.long
def test_too_few_configs_are_said_and_not_drawn(tmp_path: Path) -> None:
    trained(tmp_path / "few", made_up(12, count=9, ranks=(4, 8, 16), rules=("double",)))
    found = Study.open(tmp_path / "few").effects.own_rates
    assert found is not None
    assert "are too few for the own rates" in own_rates_lines(found)[0]
    assert "too few for the own rates" in page(tmp_path / "few").text
    assert not [name for name in study_figures(tmp_path / "few") if name.startswith("own")]


def test_study_at_one_rate_says_so_in_its_verdict_and_among_the_effects(tmp_path: Path) -> None:
    configs = made_up(13, count=6, ranks=(8, 16), rules=("double",))
    at_one = [replace(c, rate=1e-3, score=0.7 + 0.01 * n) for n, c in enumerate(configs)]
    distinct = {(c.adapter, c.others["targets"]): c for c in at_one}
    results = trained(tmp_path / "one", list(distinct.values()))
    said = "by the rank law its own best rate is 0.71 times that of r 8"
    study = Study.open(tmp_path / "one")
    assert study.effects.own_rates is None
    assert any(said in sentence for sentence in study.effects.sentences)
    verdict = results.verdict()
    assert verdict is not None
    assert sum(said in sentence for sentence in verdict.sentences) == 1
    assert "Ranks at their own best learning rates" not in page(tmp_path / "one").text
