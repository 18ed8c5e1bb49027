"""Alerts and dashboard: their language, and that every figure they ask for is one that the programs have."""

from __future__ import annotations

import re

import pytest
from codesessions_api.caches import Caches
from codesessions_api.gateway.server import Metrics as GatewayMetrics
from codesessions_api.metrics import Metrics as ApiMetrics
from codesessions_dev.layout import REPO
from codesessions_operator.health import Metrics as OperatorMetrics
from prometheus_client import CollectorRegistry
from support import monitoring
from support.helm import render
from support.kube import MemoryKube
from support.monitoring import GIVEN, RUNBOOK, alerts, dashboard, expressions


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


@pytest.mark.parametrize(("where", "text"), list(expressions()))
def test_every_figure_exists_with_its_labels(where: str, text: str, series: dict[str, set[str]]) -> None:
    asked, groups = monitoring.read(text)
    assert asked
    for each in asked:
        assert each.name in series, f"{where}: nothing exports {each.name}"
        assert each.labels <= series[each.name] | GIVEN, f"{where}: {each.name} has {series[each.name]}"
        assert groups <= series[each.name] | GIVEN, f"{where}: {each.name} has {series[each.name]}"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('x{a="1"}', True),
        ('x{a="2"}', False),
        ('x{a!="1"}', False),
        ('rate(x{a=~"1|2", b="given"}[5m])', True),
        ('x{a=~"2|3"}', False),
        ('x{a=~""}', False),
        ('x{a!~"2.."}', True),
    ],
)
def test_a_selector_takes_what_prometheus_would(text: str, taken: bool) -> None:
    ((selector,), _) = monitoring.read(text)
    assert selector.takes({"a": "1"}) is taken


@pytest.mark.parametrize("text", ["sum(rate(codesessions_x{[5m]))", "max by (codesessions_x"])
def test_what_is_no_promql_is_found(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        monitoring.read(text)


def test_every_alert_says_what_it_is_and_where_it_is_explained() -> None:
    headings = set(re.findall(r"^### (\w+)$", (REPO / "docs" / "operations.md").read_text(), re.MULTILINE))
    found = alerts()
    assert {rule["alert"] for rule in found} == headings
    for rule in found:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOK}#{rule['alert'].lower()}"
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
        assert shown <= monitoring.read(rule["expr"])[1], "the expression leaves the label out"
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
