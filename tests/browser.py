"""A real browser for tests: headless Chromium, whose every complaint is kept.

It is Debian's package `chromium`, or what CHROMIUM names; it shows nothing of the network.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Dialog, Page, Playwright

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
Light = Literal["light", "dark"]
WIDE, PHONE = (1280, 860), (390, 800)
SERIOUS = ("serious", "critical")


@dataclass
class Opened:
    """One page with all that went wrong in it, and all that it asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def refuse(self, dialog: Dialog) -> None:
        """Keeps what a dialog says, and closes it."""
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def inaccessible(self) -> list[str]:
        """What axe-core finds serious, in words."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in found
            if each["impact"] in SERIOUS
        ]


def executable() -> str:
    """Where Chromium is: where CHROMIUM says, which then must be so, as in CI; else skips aloud."""
    if named := os.environ.get("CHROMIUM"):
        if not os.access(named, os.X_OK):
            pytest.fail(f"CHROMIUM: nothing to run at {named}: apt-get install chromium")
        return named
    found = shutil.which("chromium")
    if not found:
        pytest.skip("no chromium here: apt-get install chromium, or name one in CHROMIUM")
    return found


@contextmanager
def browser(
    playwright: Playwright, folder: Path, size: tuple[int, int] = WIDE, light: Light = "light"
) -> Iterator[BrowserContext]:
    """A browser with a profile of its own."""
    width, height = size
    context = playwright.chromium.launch_persistent_context(
        folder,
        executable_path=executable(),
        args=ARGUMENTS,
        viewport={"width": width, "height": height},
        color_scheme=light,
    )
    context.set_default_timeout(20_000)
    try:
        yield context
    finally:
        context.close()


def opened(context: BrowserContext, url: str) -> Opened:
    """A page, loaded."""
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("request", lambda request: found.asked.append(request.url))
    found.page.on("dialog", found.refuse)
    found.page.goto(url)
    return found
