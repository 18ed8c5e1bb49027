"""A real Chromium on the web terminal, and what a person at it would do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from codesessions_dev import browser
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

LINES = ".xterm-rows"
"""The lines on the screen; they are elements where there is no WebGL."""
PHONE = {"viewport": {"width": 390, "height": 700}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


expect.set_options(timeout=60_000)
_OPTIONS = ["--no-sandbox"]
_NO_WEBGL = ["--disable-gpu", "--disable-3d-apis"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window and without WebGL."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(browser.ensure()), args=[*_OPTIONS, *_NO_WEBGL])
        try:
            yield made
        finally:
            made.close()


@contextmanager
def with_webgl(opened: Browser) -> Iterator[Browser]:
    """Another one, with WebGL."""
    made = opened.browser_type.launch(executable_path=str(browser.ensure()), args=_OPTIONS)
    try:
        yield made
    finally:
        made.close()


class WebTerminal:
    """The page, with all that it said on the console and all that it asked for."""

    def __init__(self, opened: Browser, url: str, **options: Any) -> None:
        self.context: BrowserContext = opened.new_context(**{"viewport": {"width": 900, "height": 560}, **options})
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.url = url

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")

    def open(self) -> WebTerminal:
        self.page.goto(self.url)
        return self

    def unlock(self, key: str) -> WebTerminal:
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Open the terminal").click()
        return self

    def state(self, text: str, *, seconds: float = 60) -> None:
        expect(self.page.locator("#state-text")).to_have_text(text, timeout=seconds * 1000)

    def type(self, text: str) -> None:
        """Type, and press Enter."""
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def shown(self, text: str, *, seconds: float = 60) -> None:
        """Wait until a text is on the screen."""
        expect(self.page.locator(LINES)).to_contain_text(text, timeout=seconds * 1000)

    def lines(self) -> list[str]:
        found = self.page.locator(f"{LINES} > div").all_inner_texts()
        return [line.replace("\xa0", " ").rstrip() for line in found]

    def until(self, what: str, probe: Any, *, seconds: float = 60) -> Any:
        """Probe the page until something true comes."""
        deadline = time.monotonic() + seconds
        while not (found := probe()):
            assert time.monotonic() < deadline, f"waited in vain: {what}; on the screen: {self.lines()}"
            self.page.wait_for_timeout(20)
        return found

    def close(self) -> None:
        self.context.close()
