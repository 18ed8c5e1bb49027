"""Who may talk to whom, by what the policies say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from codesessions_crds.names import PTY_PORT
from codesessions_operator.desired.common import WORKSPACE_LABELS
from codesessions_operator.desired.policy import policy
from codesessions_operator.settings import read_settings
from support.helm import Object, render

VALUES = {"networkPolicy": {"enabled": True}}
ANYBODY: dict[str, str] = {"app": "anything"}


def matches(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector takes labels (Kubernetes: labels and selectors)."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(
        (labels.get(each["key"]) in each["values"]) == (each["operator"] == "In")
        for each in selector.get("matchExpressions") or []
    )


def passes(rules: Iterable[Object], peers: str, labels: dict[str, str], namespace: str, port: int) -> bool:
    """Whether a rule lets a pod of these labels and namespace through on a TCP port."""
    for rule in rules:
        ports = rule.get("ports")
        if ports is not None and {"protocol": "TCP", "port": port} not in ports:
            continue
        if peers not in rule:
            return True
        for peer in rule[peers]:
            if "ipBlock" not in peer and (
                matches(peer.get("podSelector") or {}, labels)
                and matches(peer.get("namespaceSelector") or {}, {"kubernetes.io/metadata.name": namespace})
            ):
                return True
    return False


def of(component: str, values: Object = VALUES) -> Object:
    found: Object = render(values).one("NetworkPolicy", f"codesessions-{component}")["spec"]
    return found


def test_none_unless_asked_for() -> None:
    assert render().all("NetworkPolicy") == []


@pytest.mark.parametrize(("component", "port"), [("operator", 8082), ("api", 8080), ("gateway", 8081)])
def test_only_the_port_that_is_served_can_be_reached(component: str, port: int) -> None:
    spec = of(component)
    assert matches(spec["podSelector"], render().pod(component)["metadata"]["labels"])
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert passes(spec["ingress"], "from", ANYBODY, "any", port)
    assert not passes(spec["ingress"], "from", ANYBODY, "any", port + 1)


@pytest.mark.parametrize("component", ["operator", "api", "gateway"])
def test_each_reaches_the_sidecars_and_little_else(component: str) -> None:
    egress = of(component)["egress"]
    assert passes(egress, "to", WORKSPACE_LABELS, "demo", PTY_PORT)
    assert not passes(egress, "to", ANYBODY, "demo", PTY_PORT)
    assert passes(egress, "to", ANYBODY, "default", 6443)
    assert passes(egress, "to", ANYBODY, "kube-system", 53)
    assert not passes(egress, "to", ANYBODY, "demo", 8080)


@pytest.mark.parametrize(("component", "allowed"), [("operator", True), ("api", True), ("gateway", False)])
@pytest.mark.parametrize(
    ("url", "port"), [("https://r.example.com", 443), ("http://r.example.com/a", 80), ("http://r:5000/a", 5000)]
)
def test_operator_and_api_reach_the_registry(component: str, url: str, port: int, *, allowed: bool) -> None:
    egress = of(component, {**VALUES, "registry": {"url": url}})["egress"]
    known = {443}  # the Kubernetes API server's
    assert passes(egress, "to", ANYBODY, "elsewhere", port) is (allowed or port in known)


def test_those_who_may_come_in_can_be_named() -> None:
    peer: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
    values = {"networkPolicy": {"enabled": True, "ingressFrom": [peer], "metricsFrom": []}}
    for component, port in (("api", 8080), ("gateway", 8081)):
        ingress = of(component, values)["ingress"]
        assert passes(ingress, "from", ANYBODY, "ingress", port)
        assert not passes(ingress, "from", ANYBODY, "demo", port)
    assert passes(of("operator", values)["ingress"], "from", ANYBODY, "demo", 8082)


@pytest.mark.parametrize("component", ["operator", "api", "gateway"])
def test_the_workspaces_policy_lets_in_the_pods_of_this_chart(component: str) -> None:
    rendered = render(release="blue")
    environment = {**rendered.environment("operator"), "CODESESSIONS_NAMESPACE": "system"}
    rules = policy("demo", read_settings(environment), ["10.0.0.1"])["spec"]["ingress"]
    labels = rendered.pod(component)["metadata"]["labels"]
    assert passes(rules, "from", labels, "system", PTY_PORT)
    assert not passes(rules, "from", labels, "demo", PTY_PORT)
    assert not passes(rules, "from", labels, "system", 22)


def test_monitors_scrape_each_program() -> None:
    rendered = render({"podMonitor": {"enabled": True, "interval": "5s", "labels": {"release": "prometheus"}}})
    monitors = rendered.all("PodMonitor")
    assert len(monitors) == 3
    for monitor in monitors:
        component = monitor["metadata"]["name"].removeprefix("codesessions-")
        pod = rendered.pod(component)
        assert matches(monitor["spec"]["selector"], pod["metadata"]["labels"])
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["interval"] == "5s"
        assert endpoint["port"] == pod["spec"]["containers"][0]["ports"][0]["name"]
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
