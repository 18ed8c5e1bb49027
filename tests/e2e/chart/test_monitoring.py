"""What alerts and dashboard ask for, held to what the running programs say at /metrics."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from codesessions_dev import install
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from codesessions_dev.layout import REPO
from codesessions_dev.say import DevError
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support import monitoring
from support.helm import render
from support.kubectl import Kubectl
from support.monitoring import GIVEN, Selector
from support.session import Sessions, until
from support.terminal import attach, read_until
from websockets.exceptions import InvalidStatus, WebSocketException

OTHERS: frozenset[str] = frozenset()
"""Series of kube-state-metrics, cAdvisor and their kind that are asked for: none."""
ONLY_IN_TROUBLE = {
    ("codesessions_operator_reconcile_total", "result", "error"),
    ("codesessions_operator_transcripts_total", "result", "stored"),
    ("codesessions_api_requests_total", "status", "5.."),
    ("codesessions_gateway_refusals_total", "code", "terminal_unavailable"),
}
"""Values of labels that a cluster on which all is well does not have, or has not alone."""

Scraped = dict[str, list[Metric]]


def scrape(kubectl: Kubectl) -> Scraped:
    """The figures of every pod that the chart's PodMonitors choose, at the port they name, by component."""
    found: Scraped = defaultdict(list)
    for monitor in render({"podMonitor": {"enabled": True}}).all("PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        labels = monitor["spec"]["selector"]["matchLabels"]
        pods = kubectl.list("pods", "-l", ",".join(f"{name}={value}" for name, value in labels.items()))
        assert pods, monitor["metadata"]["name"]
        for pod in pods:
            (port,) = (
                port["containerPort"]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", ())
                if port["name"] == endpoint["port"]
            )
            place = f"/api/v1/namespaces/{install.NAMESPACE}/pods/{pod['metadata']['name']}:{port}/proxy"
            text = kubectl("get", "--raw", place + endpoint["path"])
            found[labels["app.kubernetes.io/component"]] += text_string_to_metric_families(text)
    return found


def missing(scraped: Scraped, each: Selector, groups: set[str]) -> str:
    """What a selector would not find; empty if it finds what is there."""
    component = each.name.split("_")[1]
    families = [family for family in scraped[component] if re.fullmatch(f"{family.name}(_total|_bucket)?", each.name)]
    samples = [sample.labels for family in families for sample in family.samples if sample.name == each.name]
    if not samples:
        return f"{component} does not export {each.name}"
    if unknown := (each.labels | groups) - GIVEN - set.union(*(set(labels) for labels in samples)):
        return f"{each.name} has no label {', '.join(sorted(unknown))}"
    usual = Selector(
        each.name, tuple(one for one in each.matchers if (each.name, one[0], one[2]) not in ONLY_IN_TROUBLE)
    )
    return "" if any(usual.takes(labels) for labels in samples) else f"nothing of {each.name} is as {each.matchers}"


async def use(access: Access, client: Client, sessions: Sessions) -> None:
    """Do what every program counts."""
    session = sessions.create("figures")
    endpoint = str(session.get()["ptyEndpoint"])
    async with await attach(access, endpoint) as socket:
        await socket.send("echo fi''gures\n")
        await read_until(socket, "figures")
    with pytest.raises(InvalidStatus):
        await attach(access, endpoint, key="csk_wrong")
    client.must("DELETE", session.path)


async def test_alerts_and_dashboard_ask_for_what_is_exported(
    access: Access, client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    asked = [(where, *monitoring.read(text)) for where, text in monitoring.expressions()]
    system = Kubectl(kubectl.kubeconfig, install.NAMESPACE)
    wrong: list[str] = []

    def all_there() -> bool:
        try:
            scraped = scrape(system)
        except DevError as error:  # a pod has gone meanwhile
            wrong[:] = [str(error)]
            return False
        wrong[:] = [
            f"{where}: {words}"
            for where, selectors, groups in asked
            for each in selectors
            if each.name not in OTHERS and (words := missing(scraped, each, groups))
        ]
        return not wrong

    for tries_left in (2, 1, 0):  # a program that an earlier test has told to stop takes its counts along
        try:
            await use(access, client, sessions)
            until(lambda: "\n".join(wrong), all_there, seconds=45, every=0.5)
            break
        except (AssertionError, DevError, WebSocketException, OSError):
            if not tries_left:
                raise


def test_the_runbook_asks_for_what_is_exported(kubectl: Kubectl) -> None:
    text = (REPO / "docs" / "operations.md").read_text()
    named = set(re.findall(r"\bcodesessions_(?:operator|api|gateway)_\w+", text))
    assert named
    system = Kubectl(kubectl.kubeconfig, install.NAMESPACE)

    def scraped() -> Scraped | None:
        try:
            return scrape(system)
        except DevError:  # a pod has gone meanwhile
            return None

    found: Scraped = until("every pod shows its figures", scraped, seconds=60, every=0.5)
    families = [each.name for of in found.values() for each in of]
    assert {name.removesuffix("_total") for name in named} <= set(families)
