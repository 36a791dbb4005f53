"""The viewer in a real browser: the same page, which asks for its samples."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect, sync_playwright

from evalkit.viewing.opened import opened as viewer_of
from evalkit.viewing.server import Viewer
from tests import sample_results
from tests.browser import Opened, browser, opened

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    results, _ = sample_results.folder(tmp_path_factory.mktemp("viewed"))
    with viewer_of(results, None, None, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def playwright(viewer: Viewer) -> Iterator[Playwright]:
    """Started once the results are made: its event loop lets no other one run."""
    with sync_playwright() as started:
        yield started


@pytest.fixture
def wide(playwright: Playwright, viewer: Viewer, tmp_path: Path) -> Iterator[Opened]:
    with browser(playwright, tmp_path / "profile") as context:
        found = opened(context, viewer.url)
        yield found
        assert found.complaints == []
        assert all(url.startswith(viewer.url) for url in found.asked)


def test_all_samples_can_be_gone_through_filtered_searched_and_read(wide: Opened) -> None:
    page = wide.page
    page.get_by_label("comparison").select_option("grpo against sft")
    task = page.get_by_label("task", exact=True)
    task.select_option(label="▲ doubles")
    told = page.get_by_role("status")
    expect(told).to_contain_text("60 match. grpo against sft, doubles: 0 lost, 14 gained of 60.")
    page.get_by_label("direction").select_option("same")
    expect(page.locator(".list .id")).to_have_count(46)
    page.get_by_label("search").fill("believe it is 50")
    expect(page.locator(".list .id")).to_have_count(1)
    expect(page.locator(".list .id")).to_have_text("· 50")
    shown = page.locator(".sample")
    expect(shown).to_contain_text("I believe it is 50")
    expect(shown).to_contain_text("target 100")
    page.keyboard.press("Enter")
    expect(page.locator('.list [data-at="0"]')).to_be_focused()
    assert wide.inaccessible() == []


def test_what_cannot_be_answered_is_said(wide: Opened, viewer: Viewer) -> None:
    page = wide.page
    expect(page.locator(".list .id").first).to_be_visible()
    page.evaluate("() => { window.fetch = async () => { throw new Error('the server has gone') } }")
    page.get_by_label("direction").select_option("lost")
    expect(page.get_by_role("status")).to_have_text("Nothing can be shown: the server has gone")
