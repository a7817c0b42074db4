"""The report, made from folders that `Results` itself has written."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from studies import GRID, KEYS, Page, config_file, read_json, study, study_board, words
from sweep.core.errors import StudyError
from sweep.core.recipe import Recipe
from sweep.study.study import Study
from sweep.watch.report import build_report
from sweep.watch.report.palette import DARK, LIGHT, painted


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "lora_grid"
    study(folder)
    build_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(grid: Path) -> Page:
    return Page(grid / "report.html")


def test_page_asks_no_host_for_anything(page: Page) -> None:
    fetching = ("src", "srcset", "href", "data", "poster", "action", "xlink:href")
    targets = [
        value
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in fetching and value is not None
    ]
    assert targets, "the page has links to its own sections"
    assert {value[:1] if value.startswith("#") else value[:10] for value in targets} <= {
        "#",
        "data:text/",
    }
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "img", "object")]
    policy = [a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a]
    assert policy[0] is not None
    assert policy[0].startswith("default-src 'none'")


def test_plotly_is_inside_once(grid: Path, page: Page) -> None:
    assert len([code for _, code in page.scripts if len(code) > 1_000_000]) == 1
    assert (grid / "report.html").stat().st_size < 8_000_000


def test_verdict_names_best_with_interval_and_ties(grid: Path, page: Page) -> None:
    board, verdict = study_board(grid), Study.open(grid).verdict
    assert verdict is not None
    for sentence in verdict.sentences:
        assert sentence in page.text
    best = board.iloc[0]
    assert f"{best['mean']:.4f}" in verdict.sentences[0]
    assert f"95 % interval {best['ci_low']:.3f} to {best['ci_high']:.3f}" in page.text
    tied = board[board["tied_with_best"]].iloc[1:]
    assert len(tied) > 1, "the numbers drawn leave ties"
    assert f"{len(tied) + 1} of 8 configs can't be told apart" in page.text
    for row in tied.to_dict("records"):
        assert f"{words(row)} {row['mean']:.3f}" in page.text


def test_study_without_a_verdict_shows_who_leads_and_says_so(tmp_path: Path) -> None:
    study(tmp_path / "s")
    (tmp_path / "s" / "verdict.json").unlink()
    best = study_board(tmp_path / "s").iloc[0]
    page = Page(build_report(tmp_path / "s"))
    lead = f"{words(best.to_dict())} leads, with a dev Pearson of {best['mean']:.3f}"
    assert lead in page.text
    assert "There is no verdict yet." in page.text
    assert "Tied with the best–of 7 other configs" in page.text


def test_cheapest_tied_config_is_named_when_it_is_not_the_best(tmp_path: Path) -> None:
    configs = [config for config in GRID if config["lora.target_modules"] == "all-linear"]
    study(tmp_path / "s", sorted(configs, key=lambda c: -c["lora.r"]))
    board = study_board(tmp_path / "s")
    assert board["lora.r"].iloc[0] == 16, "the numbers drawn make the large rank win"
    page = Page(build_report(tmp_path / "s"))
    assert "is recommended: dev Pearson" in page.text
    assert "at half of the LoRA parameters" in page.text
    assert "320.0kof the recommended config; the highest mean has 640.0k" in page.text
    assert "highest mean" in [cell.strip() for cell in page.cells]
    assert "recommended" in [cell.strip() for cell in page.cells]


def test_every_config_is_in_the_table_best_first(grid: Path, page: Page) -> None:
    board = study_board(grid)
    ranks = [cell for cell in page.cells if cell in {str(n) for n in range(1, 9)}]
    assert ranks[0] == "1"
    for mean in board["mean"]:
        assert f"{mean:.4f}" in page.cells
    labels = next(iter(page.figures.values()))["layout"]["yaxis"]["ticktext"]
    assert sorted(label.rpartition("  #")[0] for label in labels) == sorted(map(words, GRID))


def test_headers_can_be_sorted_by_keyboard_and_table_filtered(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    buttons = [i for i, tag in enumerate(tags) if tag == "th" and tags[i + 1] == "button"]
    assert len(buttons) == tags.count("th") >= 10
    assert [a for t, a in page.elements if t == "th" and a.get("aria-sort") == "ascending"]
    assert [a for t, a in page.elements if t == "input" and a["data-table"] == "board"]


def test_effect_is_the_mean_over_matched_pairs(grid: Path, page: Page) -> None:
    board = study_board(grid).set_index(["lora.r", "lora.lora_dropout", "lora.target_modules"])
    means = board["mean"].unstack("lora.target_modules")
    by = (means["all-linear"] - means["qv"]).mean()
    expected = f"all-linear above qv by {by:.3f} on average (4 pairs that differ in this alone"
    assert expected in page.text
    assert "higher in 4" in page.text


def test_keys_of_one_label_are_one_setting(page: Page) -> None:
    names = [f["layout"]["legend"]["title"]["text"].strip() for f in page.figures.values()]
    assert "r + alpha" in names
    assert not {"r", "alpha"} & set(names)


def test_most_separating_setting_colours_first(page: Page) -> None:
    assert page.figures["scores-1-1"]["layout"]["legend"]["title"]["text"].strip() == "targets"


def test_curves_hold_every_evaluation(grid: Path, page: Page) -> None:
    drawn = [y for trace in page.figures["curves-1-1"]["data"] for y in trace["y"]]
    records = map(read_json, (grid / "runs").glob("*/run.json"))
    scores = [rung["pearson"] for record in records for rung in record["outcome"]["evaluations"]]
    assert sorted(y for y in drawn if y is not None) == pytest.approx(sorted(scores))


def test_plotly_accepts_every_figure(page: Page) -> None:
    assert len(page.figures) == 10
    for figure, palette in itertools.product(page.figures.values(), (LIGHT, DARK)):
        ready = painted(figure, palette)
        assert go.Figure(data=ready["data"], layout=ready["layout"]).data


def test_one_seed_is_called_unmeasured_and_three_are_measured(tmp_path: Path, page: Page) -> None:
    advice = "'search.seeds=[0,1,2]' resume=extend"
    assert "seed noise is not measured" in page.text
    assert advice in page.text
    study(tmp_path / "s", GRID[:4], seeds=(0, 1, 2))
    text = Page(build_report(tmp_path / "s")).text
    verdict = Study.open(tmp_path / "s").verdict
    assert verdict is not None
    assert f"differ by SD {verdict.seed_sd:.4f}" in text
    assert f"Luck of the seed{verdict.seed_sd:.4f}" in text
    assert "×3" in text
    assert advice not in text


def test_text_of_the_user_cannot_become_code(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script> & <img src=x>"
    study(tmp_path / "s", failures={0: evil}, name=f"n {evil}")
    page = Page(build_report(tmp_path / "s"))
    assert any(cell == evil for cell in page.cells)
    assert not [code for _, code in page.scripts if "alert(1)" in code]
    assert not [tag for tag, _ in page.elements if tag == "img"]
    assert "1 run failed" in page.text


def test_labels_in_figures_are_escaped(tmp_path: Path) -> None:
    odd = {**GRID[0], "lora.target_modules": ("<a href='x'>q</a>", "v")}
    study(tmp_path / "s", [odd, GRID[1]])
    figures = Page(build_report(tmp_path / "s")).figures
    text = json.dumps(figures)
    assert "&lt;a href=" in text
    assert "<a" not in text


def test_value_that_looks_like_a_missing_one_keeps_its_name(tmp_path: Path) -> None:
    study(tmp_path / "s", [{**GRID[0], "lora.target_modules": "NA"}, GRID[1]])
    page = Page(build_report(tmp_path / "s"))
    assert "NA" in page.cells
    assert "r=8 alpha=16 dropout=0 on NA" in json.dumps(page.figures)


def test_running_study_without_a_finished_run(tmp_path: Path) -> None:
    study(tmp_path / "s", unfinished=range(8))
    page = Page(build_report(tmp_path / "s"))
    assert "No run has finished yet: 8 running." in page.text
    assert not page.figures


def test_study_where_all_failed_gives_the_reasons(tmp_path: Path) -> None:
    study(tmp_path / "s", GRID[:2], failures={0: "out of memory", 1: "loss became NaN"})
    page = Page(build_report(tmp_path / "s"))
    assert "No run has a score: 2 failed." in page.text
    assert {"out of memory", "loss became NaN"} <= set(page.cells)


def test_part_of_the_runs_says_that_all_can_change(tmp_path: Path) -> None:
    study(tmp_path / "s", unfinished=[6, 7])
    text = Page(build_report(tmp_path / "s")).text
    assert "of 6 configs can't be told apart" in text
    assert "2 runs not finished (2 running): all of this can still change." in text


def test_study_that_has_just_begun_gives_a_page(tmp_path: Path) -> None:
    config_file(tmp_path, name="begun")
    page = Page(build_report(tmp_path))
    assert "No run has a score" in page.text
    assert not page.figures


def test_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="holds"):
        build_report(tmp_path)


def test_without_predictions_no_interval_is_claimed(tmp_path: Path) -> None:
    results = study(tmp_path / "s")
    (tmp_path / "s" / "dev_labels.npy").unlink()
    results.write_tables()
    text = Page(build_report(tmp_path / "s")).text
    assert "without dev predictions nothing is known of ties" in text
    verdict = text[: text.index("Filter")]
    assert "95 %" not in verdict
    assert "nan" not in verdict


def test_korean_names(tmp_path: Path) -> None:
    folder = tmp_path / "한국어 유사도"
    study(folder, GRID[:2], failures={0: "메모리가 부족합니다"}, name="한국어 유사도")
    page = Page(build_report(folder))
    assert "한국어 유사도" in page.text
    assert "메모리가 부족합니다" in page.cells
    assert "python -m sweep report 'results/한국어 유사도'" in page.text


def test_unreadable_run_file_is_left_out(tmp_path: Path) -> None:
    study(tmp_path / "s", GRID[:2])
    broken = next((tmp_path / "s" / "runs").glob("*/run.json"))
    broken.write_text('{"run_id": ', encoding="utf-8")
    page = Page(build_report(tmp_path / "s"))
    steps = [x for trace in page.figures["curves-1-1"]["data"] for x in trace["x"]]
    assert [x for x in steps if x is not None] == [100, 200]


@pytest.mark.long
def test_many_configs_are_all_in_the_table_and_the_best_in_the_plot(tmp_path: Path) -> None:
    configs = [{**GRID[1], "lora.lora_dropout": round(0.01 * n, 2)} for n in range(70)]
    study(tmp_path / "s", configs)
    page = Page(build_report(tmp_path / "s"))
    assert "The best 60 of 70 configs." in page.text
    assert len(page.figures["scores-1-1"]["layout"]["yaxis"]["ticktext"]) == 60
    assert len([a for t, a in page.elements if t == "span" and a.get("class") == "whisker"]) == 70
    assert "rank correlation" in page.text


def test_experiment_file_composes_to_the_same_sweep(tmp_path: Path, page: Page) -> None:
    from sweep.config.compose import load_settings

    links = [a["href"] for t, a in page.elements if t == "a" and "download" in a]
    assert links[0] is not None
    text = "".join(page.texts)
    shown = text[text.index("# @package") : text.index("Made from the files")].strip()
    file = tmp_path / "lora_grid.yaml"
    file.write_text(f"{shown}\n", encoding="utf-8")
    settings, notices = load_settings([f"+experiment={file}"])
    assert not notices
    assert settings.name == "lora_grid"
    assert settings.space.keys == KEYS
    assert settings.recipe(0) == replace(Recipe(), model=replace(Recipe().model, path="some/model"))
