"""The report in a real browser: Debian's chromium or any Chrome, headless, without a network.

Screenshots are kept in `build/screenshots`, which git ignores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from studies import find_out, study, study_board
from sweep.watch.report import build_report
from sweep.watch.report.palette import DARK, LIGHT

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("한국어 results") / "유사도"
    study(folder, name="문장 유사도")
    find_out(folder)
    return build_report(folder)


@dataclass
class Opened:
    """A tab that shows the report, and what it complained of or asked for."""

    tab: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def scroll_through(self) -> None:
        """Every plot is drawn once it comes into sight."""
        for plot in self.tab.locator(".plot:not([hidden])").all():
            plot.scroll_into_view_if_needed()
            plot.locator(".main-svg").first.wait_for(state="attached")
        self.tab.evaluate("scrollTo({top: 0, behavior: 'instant'})")

    def bring_into_sight(self, plot: str) -> None:
        """Scroll to the plot with this id, and wait until it is drawn."""
        found = self.tab.locator(f"#{plot}")
        found.scroll_into_view_if_needed()
        found.locator(".main-svg").first.wait_for(state="attached")

    def keep_screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.tab.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def column(self, number: int) -> list[str]:
        """Cells of the leaderboard that can be seen."""
        cells = self.tab.locator(f"#board tbody tr:not([hidden]) td:nth-child({number})")
        return [text.strip() for text in cells.all_inner_texts()]


def show(browser: Any, report: Path, *, scheme: str = "light", phone: bool = False) -> Opened:
    width, height = PHONE if phone else DESKTOP
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        has_touch=phone,
        is_mobile=phone,
    )
    found = Opened(context.new_page())
    found.tab.on("console", lambda message: found.complaints.append(message.text))
    found.tab.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.tab.on("request", lambda sent: found.requests.append(sent.url))
    found.tab.goto(report.as_uri())
    return found


@pytest.fixture(scope="module")
def opened(browser: Any, report: Path) -> Opened:
    """One tab for all tests that use the page: opening it takes longer than they do."""
    return show(browser, report)


def rgb(colour: str) -> str:
    """`#rrggbb` as a browser says it."""
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"scheme": "dark"},
    "phone": {"phone": True},
}


@pytest.mark.long
@pytest.mark.parametrize("name", LOOKS)
def test_opens_without_a_complaint_and_asks_nobody(browser: Any, report: Path, name: str) -> None:
    opened = show(browser, report, **LOOKS[name])
    opened.scroll_through()
    opened.keep_screenshot(f"report-{name}")
    assert opened.complaints == []
    asked = [url for url in opened.requests if not url.startswith(("data:", "blob:"))]
    assert [url.rpartition("/")[2] for url in asked] == ["report.html"]
    assert opened.tab.locator("section").count() >= 12
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.tab.evaluate(overflow) <= 0
    palette = DARK if name == "dark" else LIGHT
    assert opened.tab.evaluate("getComputedStyle(document.body).color") == rgb(palette["ink"])


def test_table_is_sorted_by_mouse_and_by_keyboard(opened: Opened, report: Path) -> None:
    scores = [f"{mean:.4f}" for mean in study_board(report.parent)["mean"]]
    heads = opened.tab.locator("#board th").all_inner_texts()
    number = 1 + next(i for i, head in enumerate(heads) if "Pearson" in head)
    opened.tab.get_by_label("Filter").fill("")
    button = opened.tab.locator(f"#board th:nth-child({number}) button")
    button.click()
    assert opened.column(number) == scores[::-1]
    button.focus()
    opened.tab.keyboard.press("Enter")
    assert opened.column(number) == scores
    head = opened.tab.locator(f"#board th:nth-child({number})")
    assert head.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("qv", 4),
        ("all-linear r>8", 2),
        ("pearson<0 qv", 0),
        ("dropout=0 r=16", 2),
        ("targets=qv dropout>=0.1", 2),
        ("unknown>1", 0),
        # A column by its name or the last words of it, never by its last letters.
        ("s>0", 0),
        ("params>0", 8),
        ("loraparams>1000000", 0),
        ("", 8),
    ],
)
def test_table_is_filtered_by_words_and_conditions(opened: Opened, typed: str, shown: int) -> None:
    opened.tab.get_by_label("Filter").fill(typed)
    assert len(opened.column(1)) == shown
    said = opened.tab.locator(".found").inner_text()
    assert said == ("8 configs" if shown == 8 else f"{shown} of 8 configs")


def test_every_control_is_reached_by_keyboard(opened: Opened) -> None:
    assert opened.tab.locator("body :is(a, button, input)").first.get_attribute("class") == "skip"
    clickable = "button, a[href], input, summary"
    unreachable = opened.tab.locator(clickable).evaluate_all(
        "all => all.filter(one => one.tabIndex < 0).length"
    )
    assert unreachable == 0


@pytest.mark.long
def test_a_point_tells_what_it_is(opened: Opened, report: Path) -> None:
    opened.bring_into_sight("scores-1-1")
    point = opened.tab.locator("#scores-1-1 .point").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    opened.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.tab.wait_for_selector("#scores-1-1 .hoverlayer .hovertext")
    said = opened.tab.locator("#scores-1-1 .hoverlayer").text_content()
    best = study_board(report.parent).iloc[0]
    assert f"{best['mean']:.4f}" in said
    assert "#1 " in said


def test_plots_take_turns_by_keyboard(opened: Opened) -> None:
    second = opened.tab.locator("#ranks .switch").first.locator("button").nth(1)
    second.focus()
    opened.tab.keyboard.press("Enter")
    assert second.get_attribute("aria-pressed") == "true"
    assert opened.tab.locator("#ranks-1-1").is_hidden()
    assert opened.tab.locator("#ranks-1-2 .main-svg").first.is_visible()


@pytest.mark.long
def test_plots_follow_the_page_into_the_dark(opened: Opened) -> None:
    opened.bring_into_sight("scores-1-1")
    legend = opened.tab.locator("#scores-1-1 .legendtext").first
    for scheme, palette in (("dark", DARK), ("light", LIGHT)):
        opened.tab.emulate_media(color_scheme=scheme)
        # The plots are drawn anew a moment later; without that the wait runs out.
        sync_api.expect(legend).to_have_css("fill", rgb(palette["muted"]))
        assert legend.evaluate("one => getComputedStyle(one).fill") == rgb(palette["muted"])
    assert DARK["muted"] != LIGHT["muted"]


@pytest.mark.long
def test_prints_without_what_paper_cannot_do(opened: Opened) -> None:
    opened.tab.emulate_media(media="print")
    assert opened.tab.locator("nav").is_hidden()
    assert opened.tab.get_by_label("Filter").is_hidden()
    pages = opened.tab.pdf(format="A4")
    assert pages.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pages)) < 20
