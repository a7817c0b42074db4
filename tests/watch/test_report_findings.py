"""What other parts of the program found out about a study, as the report shows it."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import plotly.graph_objects as go
import pytest

from studies import BASELINE, Page, find_out, page, read_json, study
from sweep.core.files import write_text
from sweep.core.words import name_of
from sweep.data.findings import Guard
from sweep.stats.effects import Effect
from sweep.study.effects_files import table_of_effects
from sweep.study.rank_use import ModuleUse, write_rank_use
from sweep.study.reading import to_json
from sweep.study.study import Study
from sweep.study.verdict_file import write_verdict
from sweep.watch.report import study_figures
from sweep.watch.report.palette import DARK, LIGHT, painted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "s")
    return tmp_path / "s"


@pytest.fixture(scope="module")
def full_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full") / "s"
    study(folder)
    find_out(folder)
    return folder


@pytest.fixture(scope="module")
def full(full_folder: Path) -> Page:
    return page(full_folder)


@pytest.mark.long
def test_verdict_is_said_with_its_numbers(full: Page, full_folder: Path) -> None:
    verdict = Study.open(full_folder).verdict
    assert verdict is not None
    said = full.text[: full.text.index("Filter")]
    assert all(sentence in said for sentence in verdict.sentences)
    versus = verdict.versus_baseline
    assert versus is not None
    lead = f"Against the default{versus.value:+.3f}{versus.ci_low:+.3f} to {versus.ci_high:+.3f}"
    assert lead in said
    standing = [cell.strip() for cell in full.cells]
    assert {"recommended", "highest mean"} <= set(standing)
    assert "default" in {part for cell in standing for part in cell.split()}
    assert verdict.baseline == BASELINE


def test_verdict_of_configs_that_are_gone_is_not_shown(folder: Path) -> None:
    found = Study.open(folder)
    assert found.verdict is not None
    write_verdict(found.files, dataclasses.replace(found.verdict, best="gone"))
    assert "There is no verdict yet." in page(folder).text


@pytest.mark.long
@pytest.mark.parametrize("broken", ["", "{", "[]"])
def test_file_that_cannot_be_read_is_as_good_as_missing(folder: Path, broken: str) -> None:
    find_out(folder)
    for name in ("verdict.json", "guard.json", "test.json", "plan.json", "effects.json"):
        (folder / name).write_text(broken, encoding="utf-8")
    for name in ("effects.csv", "importance.csv"):
        (folder / name).write_text("", encoding="utf-8")
    found = page(folder)
    assert "There is no verdict yet." in found.text
    sections = {a["id"] for tag, a in found.elements if tag == "section"}
    assert {"leaderboard", "effects", "curves", "cost"} <= sections
    assert not sections & {"importance", "guard", "test", "plan"}


def test_effects_are_said_as_in_their_file_and_drawn_by_whether_they_can_be_told(
    full: Page, full_folder: Path
) -> None:
    sentences = read_json(full_folder / "effects.json")["sentences"]
    assert any("targets: all-linear is ahead of qv by" in sentence for sentence in sentences)
    assert any("not distinguishable" in sentence for sentence in sentences)
    for sentence in sentences:
        assert sentence in full.text
    effects = Study.open(full_folder).effects.effects
    marks = {trace["name"]: trace["y"] for trace in full.figures["effects-1-1"]["data"]}
    assert marks["told apart"] == [n for n, e in enumerate(effects) if e.distinguishable]
    assert len(marks["told apart"]) == 1


def test_means_of_levels_are_those_of_the_effects(full_folder: Path) -> None:
    """Computed once for the file, with its intervals, and once for the plots."""
    found = Study.open(full_folder)
    drawn = {
        (scores.factor.key, level.name): level.mean
        for scores in found.searched_factors
        for level in scores.levels
    }
    written = {(effect.key, effect.level): effect.mean for effect in found.effects.effects}
    assert drawn == pytest.approx(written)


def test_keys_that_changed_together_are_all_named_wherever_they_are_told(
    full: Page, full_folder: Path
) -> None:
    merged = "lora.r + lora.lora_alpha"
    assert merged in {effect.key for effect in Study.open(full_folder).effects.effects}
    assert "r + alpha: not distinguishable; most between" in full.text
    assert "r + alpha" in full.figures["importance-1-1"]["data"][0]["y"]
    rows = full.figures["effects-1-1"]["layout"]["yaxis"]["ticktext"]
    assert "r + alpha: 8 + 16" in rows
    names = [f["layout"]["legend"]["title"]["text"].strip() for f in full.figures.values()]
    assert "r + alpha" in names


def test_levels_that_are_numbers_keep_their_text(folder: Path) -> None:
    """A column of numbers alone comes back as text."""
    files = Study.open(folder).files
    effects = [Effect("lora.r", "4", 1, 0.8, 0.0), Effect("lora.r", "8", 1, 0.7, -0.1)]
    write_text(files.effects, table_of_effects(effects).to_csv(index=False))
    assert list(Study.open(folder).effects.effects) == effects


def test_importance_is_drawn_with_its_interval_the_largest_on_top(
    full: Page, full_folder: Path
) -> None:
    shares = Study.open(full_folder).effects.importances
    (trace,) = full.figures["importance-1-1"]["data"]
    # plotly draws from below
    assert trace["y"] == [name_of(share.key) for share in shares][::-1]
    assert trace["y"][-1] == "targets"
    above = [share.ci_high - share.importance for share in shares][::-1]
    below = [share.importance - share.ci_low for share in shares][::-1]
    assert trace["error_x"]["array"] == pytest.approx(above)
    assert trace["error_x"]["arrayminus"] == pytest.approx(below)


def test_rank_use_is_said_by_rank_and_drawn_by_layer_and_module(full: Page) -> None:
    assert "r=16 used 4.5 on average (4.0 to 5.0 by layer and module, 1 run)." in full.text
    (trace,) = full.figures["ranks-1-2"]["data"]
    assert (trace["x"], trace["y"]) == (["query", "value"], ["0", "1"])
    assert trace["z"] == [[4.0, 4.0], [5.0, 5.0]]


def test_rank_maps_show_every_module_wherever_it_is_and_whatever_is_known_of_it(
    folder: Path,
) -> None:
    use = [
        *(ModuleUse("c", "c-s0", n, "query", 8, 2.0, 0.1 * n) for n in (0, 2, 10)),
        ModuleUse("c", "c-s0", 0, "value", 8, None, 0.0),  # its update is zero
        ModuleUse("c", "c-s0", None, "pooler.dense", 8, 3.0, 9.9),
    ]
    write_rank_use(Study.open(folder).files, use)
    figures = page(folder).figures
    (ranks,), (norms,) = (figures[f"ranks-{n}-1"]["data"] for n in (1, 2))
    for trace in (ranks, norms):
        assert trace["x"] == ["pooler.dense", "query", "value"]
        assert trace["y"] == ["0", "2", "10", "outside"]
    assert ranks["z"][0] == [None, 2.0, None]
    assert ranks["z"][3] == [3.0, None, None]
    assert norms["z"][0] == [None, 0.0, 0.0]
    assert norms["hovertext"][3][0] == "<b>9.90</b><br>outside of the layers, pooler.dense"
    assert norms["hovertext"][2][1] == "<b>1.00</b><br>layer 10, query"


def test_update_of_zero_is_not_counted_as_a_rank(folder: Path) -> None:
    use = [
        ModuleUse("c", "c-s0", 0, "query", 8, None, 0.0),
        ModuleUse("d", "d-s0", 0, "query", 4, 2.0, 0.5),
    ]
    write_rank_use(Study.open(folder).files, use)
    text = page(folder).text
    assert "r=4 used 2.0 on average" in text
    assert "r=8 used" not in text


def test_guard_shows_the_gravest_first_with_examples(full: Page, full_folder: Path) -> None:
    found = Study.open(full_folder).guard
    assert found is not None
    said = {f.level: full.text.index(f.sentence) for f in found.findings}
    assert len(said) > 1
    assert said["warn"] < said["info"]
    assert "A <b>cat</b> sits." in full.text


def test_guard_without_findings_says_so(folder: Path) -> None:
    write_text(Study.open(folder).files.guard, to_json(Guard("warn", 0, 0, ())))
    assert "Nothing was found." in page(folder).text


def test_test_scores_stand_beside_each_other(full: Page) -> None:
    cells = full.cells[full.cells.index("exported test") :]
    assert cells[2:5] == ["0.8412", "0.810 to 0.870", "500"]
    assert cells[5:8:2] == ["baseline test", "0.8012"]
    assert "test Pearson 0.8412 (95 % interval 0.810 to 0.870) on 500 pairs" in full.text
    assert "Scored for 2 adapters: every look makes it say less." in full.text


def test_plan_is_compared_with_what_was_measured(full: Page) -> None:
    said = "Seconds per run: measured 1.50 times the plan in the middle of 8 configs."
    assert said in full.text
    said = "The whole sweep: 3 min 20 s planned with 2 workers, 2 min 0 s of training each."
    assert said in full.text
    assert "plan-2-1" not in full.figures, "no memory was planned"


def test_every_figure_of_a_full_report_is_one_that_plotly_takes(full_folder: Path) -> None:
    figures = study_figures(full_folder)
    anchors = {name.partition("-")[0] for name in figures}
    assert anchors >= {"scores", "effects", "importance", "together", "curves", "cost", "ranks"}
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in figures)
    for figure, palette in itertools.product(figures.values(), (LIGHT, DARK)):
        ready = painted(figure, palette)
        assert go.Figure(data=ready["data"], layout=ready["layout"]).data
        assert '"@' not in json.dumps(ready)


def test_label_that_looks_like_a_token_stays_a_label() -> None:
    figure = {"x": ["@ink"], "marker": {"color": "@ink"}, "colorscale": [[0, "@low"]]}
    assert painted(figure, LIGHT) == {
        "x": ["@ink"],
        "marker": {"color": LIGHT["ink"]},
        "colorscale": [[0, LIGHT["low"]]],
    }


def test_parallel_coordinates_take_every_config_through_every_setting(full: Page) -> None:
    figure = full.figures["together-1-1"]
    assert [trace["name"] for trace in figure["data"]][-1] == "highest fifth"
    paths = sum(trace["x"].count(None) for trace in figure["data"])
    assert paths == 8
    assert figure["layout"]["xaxis"]["ticktext"][-1] == "dev Pearson"
    heights = [y for trace in figure["data"] for y in trace["y"] if y is not None]
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < min(heights) <= max(heights) < high
