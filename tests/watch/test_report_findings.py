"""What other parts of the program found out about a study, as the report shows it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

from studies import (
    Page,
    page,
    put,
    study,
    with_findings,
)
from sweep.watch.report import study_figures
from sweep.watch.report.palette import DARK, LIGHT, painted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    study(tmp_path / "s")
    return tmp_path / "s"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("full") / "s"
    study(folder)
    with_findings(folder)
    return page(folder)


def test_verdict_of_the_file_comes_before_our_own(full: Page) -> None:
    verdict = full.text[: full.text.index("Filter")]
    assert "r 8 on all-linear is as good as the best." in verdict
    assert "It beats the default by +0.02." in verdict
    assert "Best of 8 configs" not in verdict
    assert "+0.021" in verdict
    assert "+0.011 to +0.034" in verdict
    standing = {
        cell.strip() for cell in full.cells if cell.strip() in ("best", "recommended", "default")
    }
    assert standing == {"best", "recommended", "default"}


def test_verdict_of_configs_that_are_gone_is_not_shown(folder: Path) -> None:
    with_findings(folder)
    content = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    put(folder, "verdict.json", content | {"best": "gone"})
    assert "Best of 8 configs" in page(folder).text


@pytest.mark.parametrize("broken", ["", "{", "[]"])
def test_file_that_cannot_be_read_is_as_good_as_missing(folder: Path, broken: str) -> None:
    for name in ("verdict.json", "guard.json", "test.json", "plan.json"):
        (folder / name).write_text(broken, encoding="utf-8")
    (folder / "effects.csv").write_text("", encoding="utf-8")
    assert "Best of 8 configs" in page(folder).text


def test_effects_are_said_with_interval_and_whether_they_can_be_told(full: Page) -> None:
    assert "targets qv against all-linear: -0.300 (95 % interval -0.320 to -0.280)." in full.text
    said = "dropout 0.1 against 0.0: -0.002 (95 % interval -0.010 to +0.006): not distinguishable."
    assert said in full.text
    marks = {trace["name"]: trace["y"] for trace in full.figures["effects-1-1"]["data"]}
    assert marks["told apart"] == [1]


def test_keys_that_changed_together_are_all_named_wherever_they_are_told(folder: Path) -> None:
    with_findings(folder)
    for name in ("effects.csv", "importance.csv"):
        text = (folder / name).read_text(encoding="utf-8")
        merged = text.replace("lora.target_modules", "lora.r + lora.lora_alpha")
        (folder / name).write_text(merged, encoding="utf-8")
    found = page(folder)
    assert "r + alpha qv against all-linear: -0.300" in found.text
    assert "r + alpha" in found.figures["importance-1-1"]["data"][0]["y"]
    rows = found.figures["effects-1-1"]["layout"]["yaxis"]["ticktext"]
    assert "r + alpha: all-linear" in rows


def test_importance_is_drawn_with_its_interval_the_largest_on_top(full: Page) -> None:
    (trace,) = full.figures["importance-1-1"]["data"]
    assert trace["y"] == ["dropout", "targets"]  # plotly draws from below
    assert trace["error_x"]["array"] == pytest.approx([0.05, 0.05])
    assert trace["error_x"]["arrayminus"] == pytest.approx([0.05, 0.1])


def test_rank_use_is_said_by_rank_and_drawn_by_layer_and_module(full: Page) -> None:
    assert "r=16 used 4.5 on average (4.0 to 5.0 by layer and module, 1 run)." in full.text
    (trace,) = full.figures["ranks-1-2"]["data"]
    assert (trace["x"], trace["y"]) == (["query", "value"], ["0", "1"])
    assert trace["z"] == [[4.0, 4.0], [5.0, 5.0]]


def test_rank_maps_show_every_module_wherever_it_is_and_whatever_is_known_of_it(
    folder: Path,
) -> None:
    with_findings(folder)
    use = [
        *(("c", "c-s0", n, "query", 8, 2.0, 0.1 * n) for n in (0, 2, 10)),
        ("c", "c-s0", 0, "value", 8, None, 0.0),  # its update is zero
        ("c", "c-s0", None, "pooler.dense", 8, 3.0, 9.9),
    ]
    columns = ["config_id", "run_id", "layer", "module", "rank", "effective_rank", "norm"]
    table = pd.DataFrame(use, columns=columns).astype({"layer": "Int64"})
    table.to_csv(folder / "rank_use.csv", index=False)
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
    with_findings(folder)
    columns = "config_id,run_id,layer,module,rank,effective_rank,norm"
    rows = ["c,c-s0,0,query,8,,0.0", "d,d-s0,0,query,4,2.0,0.5"]
    (folder / "rank_use.csv").write_text("\n".join([columns, *rows]), encoding="utf-8")
    text = page(folder).text
    assert "r=4 used 2.0 on average" in text
    assert "r=8 used" not in text


def test_guard_shows_the_gravest_first_with_examples(full: Page) -> None:
    text = full.text
    assert text.index("12 dev pairs are in train as well.") < text.index("Labels are alike.")
    assert "고양이가 앉아 있다 / A <b>cat</b> sits." in text


def test_guard_without_findings_says_so(folder: Path) -> None:
    put(folder, "guard.json", {"findings": []})
    assert "Nothing was found." in page(folder).text


def test_test_scores_stand_beside_each_other(full: Page) -> None:
    cells = full.cells[full.cells.index("exported") :]
    assert cells[2] == "0.8412"
    assert cells[3:6:2] == ["baseline", "–"]


def test_plan_is_compared_with_what_was_measured(full: Page) -> None:
    said = "Seconds per run: measured 1.50 times the plan in the middle of 8 configs."
    assert said in full.text
    assert "The whole sweep: 3 min planned with 2 workers, 2 min of training each." in full.text
    assert "plan-2-1" not in full.figures, "no memory was planned"


def test_every_figure_of_a_full_report_is_one_that_plotly_takes(folder: Path) -> None:
    with_findings(folder)
    figures = study_figures(folder)
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
