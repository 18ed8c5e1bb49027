"""Applications made of sessions, and taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from codesessions_dev.page import Pages
from support.app import App
from support.kubectl import Kubectl
from support.session import Sessions


@pytest.fixture(scope="session")
def pages(access: Access) -> Pages:
    return Pages(access, timeout=30)


@pytest.fixture
def make(
    client: Client, kubectl: Kubectl, pages: Pages, sessions: Sessions, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], App]]:
    """Makes a session that runs, and what will be its App."""
    made: list[App] = []

    def app(project: str) -> App:
        made.append(App(client, pages, sessions.create(project)))
        return made[-1]

    yield app
    report = getattr(request.node, "report_call", None)
    for each in made:
        if report is not None and report.failed:
            print(kubectl.tries("get", "csapp", each.name, "-o", "yaml").stdout)
            print(kubectl.tries("get", "builds", "-o", "wide").stdout)
            print(kubectl.tries("describe", "pods", "-l", f"codesessions.dev/app={each.name}").stdout)
        kubectl("delete", "csapp", each.name, "--ignore-not-found", "--wait=false")
