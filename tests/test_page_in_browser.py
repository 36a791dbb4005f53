"""The page in a real browser: seen, filtered, searched, read by keys, and safe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect, sync_playwright

from tests import sample_results
from tests.browser import PHONE, WIDE, Light, Opened, browser, opened
from tests.hostile import HOSTILE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results, _ = sample_results.folder(tmp_path_factory.mktemp("browsed"))
    return results / "report" / "report.html"


@pytest.fixture(scope="module")
def playwright(report: Path) -> Iterator[Playwright]:
    """Started once the report is made: its event loop lets no other one run."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def desk(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    with browser(playwright, tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def wide(report: Path, desk: BrowserContext) -> Iterator[Opened]:
    """The page on a desk, opened from disk."""
    found = opened(desk, report.as_uri())
    yield found
    assert found.complaints == []
    assert found.asked == [report.as_uri()]
    assert found.page.evaluate("window.hacked") is None
    found.page.close()


def choose(page: Page, title: str, start: str) -> None:
    """Chooses the option of a filter that begins so."""
    filter_ = page.get_by_label(title, exact=True)
    option = filter_.locator("option", has_text=start).first
    filter_.select_option(option.get_attribute("value"))


def entries(page: Page) -> list[str]:
    return page.locator(".list .id").all_inner_texts()


@pytest.mark.parametrize("light", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desk", "phone"])
def test_it_is_accessible_and_nothing_is_wider_than_the_screen(
    playwright: Playwright, report: Path, tmp_path: Path, size: tuple[int, int], light: Light
) -> None:
    with browser(playwright, tmp_path / "profile", size, light) as context:
        found = opened(context, report.as_uri())
        expect(found.page.locator("h1")).to_have_text("▼ regressed")
        for fold in found.page.locator("details").all():
            fold.evaluate("fold => fold.open = true")
        if size == PHONE:
            found.page.locator(".list button").first.click()
        expect(found.page.locator(".sample")).to_be_visible()
        assert found.inaccessible() == []
        assert found.page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert found.complaints == []


def test_both_lights_have_colours_of_their_own(
    playwright: Playwright, report: Path, tmp_path: Path
) -> None:
    papers = []
    lights: tuple[Light, ...] = ("light", "dark")
    for light in lights:
        with browser(playwright, tmp_path / light, WIDE, light) as context:
            page = opened(context, report.as_uri()).page
            papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            figure = page.locator("#forest svg path").first
            assert figure.evaluate("each => getComputedStyle(each).fill") == papers[-1]
    assert papers == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]


def test_a_reader_sees_what_got_worse_by_how_much_and_why_without_scrolling(wide: Opened) -> None:
    page = wide.page
    for said in ("regressed", "sft lost 36.7 points of arithmetic", "[−", "margin 5.0", "gained"):
        found = page.get_by_text(said).first
        expect(found).to_be_in_viewport()
    expect(page.locator("#map td.regressed").first).to_be_in_viewport()


def test_filters_narrow_the_list(wide: Opened) -> None:
    page = wide.page
    choose(page, "comparison", "sft against base")
    choose(page, "task", "▼ doubles")
    expect(page.locator(".list .id")).to_have_count(22)
    choose(page, "slice", "odd")
    expect(page.locator(".list .id")).to_have_count(11)
    assert all(int(each.split()[-1]) % 2 for each in entries(page))
    choose(page, "outcome", "truncated")
    assert all(int(each.split()[-1]) % 3 == 0 for each in entries(page))
    choose(page, "direction", "gained")
    expect(page.locator(".list .id")).to_have_count(0)
    expect(page.get_by_role("status")).to_contain_text("0 match.")


def test_a_search_finds_words_of_question_and_answer(wide: Opened) -> None:
    page = wide.page
    choose(page, "comparison", "sft against base")
    choose(page, "task", "▼ doubles")
    page.get_by_label("search").fill("TWICE 41")
    expect(page.locator(".list .id")).to_have_count(1)
    assert entries(page)[0].endswith("41")
    page.get_by_label("search").fill("believe it is 42")
    expect(page.locator(".list .id")).to_have_text("▼ 42")


def test_a_sample_shows_both_answers_their_difference_and_how_they_were_read(wide: Opened) -> None:
    page = wide.page
    choose(page, "comparison", "sft against base")
    choose(page, "task", "▼ doubles")
    page.get_by_label("search").fill("twice 33?")
    expect(page.locator(".list .id")).to_have_count(1)
    shown = page.locator(".sample")
    expect(shown).to_contain_text("target 66")
    expect(shown).to_contain_text("base correct, read as 66")
    expect(shown).to_contain_text("sft truncated, read as I believe it is 33, 大约")
    expect(shown).to_contain_text("ended by length")
    expect(shown).to_contain_text("12 + 30 tokens")
    expect(shown.locator("del")).to_have_text("66")
    expect(shown.locator("ins")).to_have_text("I believe it is 33, 大约")
    shown.get_by_text("reasoning").first.click()
    expect(shown.get_by_text("let me think").first).to_be_visible()


def test_tool_calls_are_laid_out_and_a_judge_is_heard_in_both_orders(wide: Opened) -> None:
    page, shown = wide.page, wide.page.locator(".sample")
    choose(page, "comparison", "sft against base")
    choose(page, "task", "▼ tools")
    expect(shown.locator(".code").nth(1)).to_contain_text('add {\n  "a": 1,\n  "b": {')
    expect(shown.locator(".code").nth(0)).to_contain_text("add not JSON {")
    choose(page, "task", "▼ chat")
    for order in ("first", "second"):
        expect(shown.get_by_text(f"judge, this answer shown {order}").first).to_be_visible()


def test_the_map_leads_to_the_samples(wide: Opened) -> None:
    page = wide.page
    page.locator("#map td.regressed a").first.click()
    expect(page.locator("#samples")).to_be_in_viewport()
    link = page.locator("#map td.regressed a").first
    told = page.get_by_role("status")
    expect(told).to_contain_text(f"{link.get_attribute('data-candidate')} against base")
    expect(told).to_contain_text(str(link.get_attribute("data-task")))
    assert page.get_by_label("direction").input_value() == "lost"


def test_keys_go_through_the_samples(wide: Opened) -> None:
    page = wide.page
    page.keyboard.press("/")
    expect(page.get_by_label("search")).to_be_focused()
    page.keyboard.type("j/k?")  # letters are letters there
    expect(page.locator(".list .id")).to_have_count(0)
    page.get_by_label("search").fill("")
    expect(page.locator(".list .id").first).to_be_visible()
    page.keyboard.press("Enter")
    first = page.locator('.list [data-at="0"]')
    expect(first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator('.list [data-at="2"]')).to_have_attribute("aria-current", "true")
    page.keyboard.press("k")
    second = page.locator('.list [data-at="1"]')
    expect(second).to_have_attribute("aria-current", "true")
    page.keyboard.press("Enter")
    expect(page.locator(".sample")).to_be_focused()
    page.keyboard.press("Escape")
    expect(second).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_model_wrote_is_shown_and_does_nothing(name: str, hostile: Opened) -> None:
    page = hostile.page
    page.get_by_label("search").fill(name)
    found = page.locator(".list .id", has_text=name).first
    expect(found).to_be_visible()
    found.click()
    shown = page.locator(".sample .pair > div").nth(1)
    expect(page.locator(".sample h3")).to_contain_text(name)
    raw = HOSTILE[name]
    assert page.evaluate("window.hacked") is None
    assert hostile.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == WIDE[0]
    text = shown.locator(".text").first.inner_text() if raw else ""
    if name in ("script", "end of script", "end of style", "handler", "template", "link"):
        assert text == raw
        assert shown.locator("script, img, a").count() == 0
    if name == "bidi":
        assert "U+202E" in text
        assert "\u202e" not in text
    if name in ("nuls", "ansi"):
        assert "U+0000" in text or "U+001B" in text
    if name == "long line":
        assert "characters left out" in text
    if name == "empty":
        expect(shown).to_contain_text("empty")


@pytest.fixture(scope="module")
def hostile(report: Path, desk: BrowserContext) -> Opened:
    """The page with the task of hostile answers chosen."""
    found = opened(desk, report.as_uri())
    choose(found.page, "comparison", "sft against base")
    choose(found.page, "task", "▼ speech")
    return found


def test_chinese_is_drawn_and_not_boxed(wide: Opened) -> None:
    page = wide.page
    choose(page, "comparison", "sft against base")
    choose(page, "task", f"▼ {sample_results.CHINESE}")
    expect(page.locator(".sample")).to_contain_text("的两倍是多少？")
    expect(page.locator("#forest svg")).to_contain_text("知识")
    widths = page.evaluate(
        """() => {
          const often = { willReadFrequently: true };
          const canvas = document.createElement("canvas").getContext("2d", often);
          canvas.font = "20px " + getComputedStyle(document.body).fontFamily;
          return ["知", "识", "\\u{10fffd}"].map((char) => {
            canvas.clearRect(0, 0, 40, 40);
            canvas.fillText(char, 5, 25);
            return canvas.getImageData(0, 0, 40, 40).data.join();
          });
        }"""
    )
    if widths[0] == widths[2]:
        pytest.skip("no font here has Chinese: apt-get install fonts-droid-fallback")
    assert widths[0] != widths[1]  # two characters, not the same box twice


def test_on_a_phone_a_sample_fills_the_screen_and_closes(
    playwright: Playwright, report: Path, tmp_path: Path
) -> None:
    with browser(playwright, tmp_path / "profile", PHONE) as context:
        found = opened(context, report.as_uri())
        page, shown = found.page, found.page.locator(".sample")
        expect(shown).to_be_hidden()
        page.locator(".list button").first.click()
        expect(shown).to_be_visible()
        box = shown.bounding_box()
        assert box
        assert [box["width"], box["height"]] == [*PHONE]
        shown.get_by_role("button", name="close").click()
        expect(shown).to_be_hidden()
        assert found.complaints == []
