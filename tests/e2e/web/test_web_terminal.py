"""A session's address opened in a real browser, through the ingress of the real cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from codesessions_dev.envfile import Access
from playwright.sync_api import Browser, expect
from support.browser import PHONE, WebTerminal, chromium
from support.kubectl import Kubectl
from support.session import Sessions, until

SYSTEM = "codesessions-system"
GATEWAY = "--selector=app.kubernetes.io/component=gateway"


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    """A browser, no longer than needed: while it is open this thread has an event loop, and async tests cannot run."""
    with chromium() as made:
        yield made


def test_the_address_of_a_session_is_a_terminal(
    access: Access, kubectl: Kubectl, sessions: Sessions, opened: Browser
) -> None:
    session = sessions.create("web")
    page = WebTerminal(opened, session.get()["ptyEndpoint"], ignore_https_errors=True)
    try:
        page.open().unlock(access.api_key)
        page.state("Connected")
        page.type("echo $((6 * 7))-in-a-pod")
        page.shown("42-in-a-pod")
        page.page.reload()
        page.state("Connected")
        page.shown("42-in-a-pod")
        assert page.complaints == []

        page.type("clear; for i in $(seq 1 20); do echo line-$i; sleep 0.2; done")
        page.shown("line-5")
        system = replace(kubectl, namespace=SYSTEM)
        old = system.ready_pods(GATEWAY)
        system("delete", "pod", GATEWAY)
        until("another gateway is ready", lambda: (new := system.ready_pods(GATEWAY)) and not new & old, seconds=240)
        answer = lambda: page.context.request.get(page.url, headers={"Accept": "text/html"}).status  # noqa: E731
        page.until("the ingress has heard of it", lambda: answer() == 200, seconds=120)
        page.shown("line-20", seconds=120)
        page.state("Connected", seconds=120)
        shown = [line for line in page.lines() if line.startswith("line-")]
        assert shown == [f"line-{number}" for number in range(1, 21)]

        page.type("exit 7")
        page.state("Completed")
        session.until_phase("completed")
        page.page.reload()
        page.state("Completed", seconds=120)
        expect(page.page.locator("#panel-heading")).to_have_text("The session has ended with exit code 7")
        assert not [url for url in page.asked if access.api_key in url]
    finally:
        page.close()


def test_on_a_telephone_a_session_is_waited_for_and_read_when_it_has_ended(
    access: Access, kubectl: Kubectl, sessions: Sessions, opened: Browser
) -> None:
    base = sessions.create("phone")
    base.run("true")
    base.type("echo $((6 * 7))-kept; exit 7\n")
    waiting = sessions.apply(f"cs-w{base.name[3:]}", workspace={"nodeSelector": {"codesessions.dev/nowhere": "1"}})
    waiting.until_reason("Unschedulable")
    endpoint = base.get()["ptyEndpoint"]
    page = WebTerminal(opened, endpoint.replace(base.id, waiting.id), ignore_https_errors=True, **PHONE)
    try:
        page.open().unlock(access.api_key)
        page.state("Creating")
        expect(page.page.locator("#panel-heading")).to_have_text("The session is being created")

        base.until_phase("completed")
        until("its pod is gone", lambda: kubectl.get("pod", base.pod) is None, seconds=240)
        page.url = endpoint
        page.open().unlock(access.api_key)
        page.state("Completed")
        page.page.get_by_role("button", name="Show its output").click()
        page.shown("42-kept")
        expect(page.page.locator("#banner")).to_contain_text("exit code 7")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
        expect(page.page.locator("#keys")).to_be_visible()
    finally:
        page.close()
