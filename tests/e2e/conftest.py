"""What every test against the real cluster shares: access, kubectl, a clean-up, and a report when something fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from support.cluster import known_access, mark
from support.kubectl import Kubectl
from support.session import Sessions

FOLDER = Path(__file__).parent
LAST = FOLDER / "tenancy" / "test_secrets.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs the cluster, and has the time that one may take on a crowded machine."""
    for item in mark(items, FOLDER):
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))
    items.sort(key=lambda item: item.path == LAST)  # it looks at what all others have left in the logs


@pytest.fixture(scope="session")
def access() -> Access:
    return known_access()


@pytest.fixture(scope="session")
def client(access: Access) -> Client:
    return Client(access)


@pytest.fixture(scope="session")
def kubectl(access: Access) -> Kubectl:
    """kubectl in the namespace of organisation `demo`."""
    return Kubectl(access.kubeconfig, "demo")


@pytest.fixture
def sessions(client: Client, kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Sessions]:
    """Makes sessions and removes them, records and all; on failure prints what the cluster knows of them."""
    made = Sessions(client, kubectl)
    yield made
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        for name in made.names:
            print(kubectl.describe(name))
    made.remove()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    setattr(item, f"report_{report.when}", report)
