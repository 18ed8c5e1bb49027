"""Alerts and dashboard: their language, and that every figure they ask for is one that the programs have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from codesessions_api.caches import Caches
from codesessions_api.gateway.server import Metrics as GatewayMetrics
from codesessions_api.metrics import Metrics as ApiMetrics
from codesessions_dev.layout import REPO
from codesessions_operator.health import Metrics as OperatorMetrics
from prometheus_client import CollectorRegistry
from support.helm import render
from support.kube import MemoryKube

GIVEN = {"namespace", "pod"}
"""Labels that Prometheus adds to what it scrapes by a PodMonitor or ServiceMonitor."""
RULE = {"prometheusRule": {"enabled": True, "runbookUrl": "https://docs.example.com/operations.md"}}

Object = dict[str, Any]


def names_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Every time series of a program, and its labels."""
    found: dict[str, set[str]] = {}
    for collector in set(registry._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.describe():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
            for suffix in suffixes:
                found[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    api = ApiMetrics()
    api.watch(Caches(MemoryKube()))
    registries = (api.registry, GatewayMetrics().registry, OperatorMetrics().registry)
    return {name: labels for registry in registries for name, labels in names_of(registry).items()}


def alerts(**values: Any) -> list[Object]:
    found = render({"prometheusRule": {**RULE["prometheusRule"], **values}}).one("PrometheusRule", "codesessions")
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> Object:
    data = render({"grafanaDashboard": {"enabled": True}}).one("ConfigMap", "codesessions-dashboard")["data"]
    found: Object = json.loads(data["codesessions.json"])
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def selectors(text: str) -> Iterator[tuple[str, set[str]]]:
    """Names of time series, and the labels by which they are chosen."""
    promql_parser.parse(text)  # its own words for what is wrong
    for name, braces in re.findall(r"\b(codesessions_\w+)\{([^{}]*(?:\{id\}[^{}]*)?)\}", text):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", braces))


@pytest.mark.parametrize(("where", "text"), list(expressions()))
def test_every_figure_exists_with_its_labels(where: str, text: str, series: dict[str, set[str]]) -> None:
    asked = list(selectors(text))
    assert len(asked) == len(re.findall(r"\bcodesessions_\w+", text)) > 0
    for name, labels in asked:
        assert name in series, f"{where}: nothing exports {name}"
        assert labels <= series[name] | GIVEN, f"{where}: {name} has {series[name]}"
    for group in re.findall(r"by \(([^)]*)\)", text):
        known = set.union(*(series[name] for name, _ in asked)) | GIVEN
        assert set(group.replace(" ", "").split(",")) <= known, where


@pytest.mark.parametrize("text", ["sum(rate(codesessions_x{[5m]))", "max by (codesessions_x"])
def test_what_is_no_promql_is_found(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(selectors(text))


def test_every_alert_says_what_it_is_and_where_it_is_explained() -> None:
    headings = set(re.findall(r"^### (\w+)$", (REPO / "docs" / "operations.md").read_text(), re.MULTILINE))
    found = alerts()
    assert {rule["alert"] for rule in found} == headings
    for rule in found:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["annotations"]["runbook_url"] == f"{RULE['prometheusRule']['runbookUrl']}#{rule['alert'].lower()}"
        assert "@" not in rule["expr"]
        assert 'namespace="system"' in rule["expr"]


def test_alerts_can_be_labelled_and_left_out() -> None:
    every = {rule["alert"] for rule in alerts()}
    fewer = alerts(disabled=["CodeSessionsApiSlow"], alertLabels={"team": "x"}, runbookUrl="")
    assert {rule["alert"] for rule in fewer} == every - {"CodeSessionsApiSlow"}
    assert all(rule["labels"]["team"] == "x" for rule in fewer)
    assert all("runbook_url" not in rule["annotations"] for rule in fewer)


def test_the_dashboard_shows_one_release_at_a_time() -> None:
    found = dashboard()
    assert [each["name"] for each in found["templating"]["list"]] == ["datasource", "namespace"]
    assert all('namespace="$namespace"' in target["expr"] for each in found["panels"] for target in each["targets"])
    assert len({each["id"] for each in found["panels"]}) == len(found["panels"])


def test_service_monitors_find_their_services_and_ports() -> None:
    rendered = render({"serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}}})
    monitors = rendered.all("ServiceMonitor")
    assert len(monitors) == 3
    for each in monitors:
        selector = each["spec"]["selector"]["matchLabels"].items()
        (service,) = (one for one in rendered.all("Service") if selector <= one["metadata"]["labels"].items())
        (endpoint,) = each["spec"]["endpoints"]
        assert endpoint == {"port": service["spec"]["ports"][0]["name"], "path": "/metrics", "interval": "15s"}
        assert service["metadata"]["name"] == each["metadata"]["name"]
        assert each["metadata"]["labels"]["release"] == "prometheus"


def test_none_of_it_unless_asked_for() -> None:
    kinds = {each["kind"] for each in render().objects}
    assert kinds.isdisjoint({"ServiceMonitor", "PodMonitor", "PrometheusRule", "HTTPRoute", "Certificate"})
    assert render().all("ConfigMap") == [render().one("ConfigMap", "codesessions-test")]
