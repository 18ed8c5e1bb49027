"""What platform teams set besides: scaling, more volumes, certificates, routes, objects of their own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support import podsecurity
from support.helm import CHART, Object, helm, refusal, render
from unit.chart.unusual import AUTOSCALED, DIGEST, EVERYTHING, OTHERS, PROGRAM

ALL = {**EVERYTHING, **OTHERS}
COMPONENTS = ("operator", "api", "gateway")
ROUTES: dict[str, Any] = OTHERS["httpRoute"]


@pytest.mark.parametrize("values", [EVERYTHING, ALL, {**ALL, "fullnameOverride": "x" * 40}])
def test_everything_at_once_is_one_consistent_release(values: Object) -> None:
    lint = helm("lint", "--strict", CHART, values=values)
    assert lint.returncode == 0, lint.stdout
    rendered = render(values)
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered.objects]
    assert len(names) == len(set(names))
    for each in rendered.objects:
        if each["metadata"]["name"].endswith("-extra"):
            continue
        assert each["metadata"]["labels"]["team"] == "platform", each["metadata"]["name"]
        assert each["metadata"]["annotations"]["quote"] == 'it\'s "quoted": {yes}'
    for component in COMPONENTS:
        assert podsecurity.violations(rendered.pod(component)["spec"]) == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_volumes_environment_and_labels_of_ones_own(component: str) -> None:
    pod = render(EVERYTHING).pod(component)
    (container,) = pod["spec"]["containers"]
    assert container["envFrom"] == PROGRAM["envFrom"]
    assert PROGRAM["extraVolumeMounts"][0] in container["volumeMounts"]
    assert PROGRAM["extraVolumes"][0] in pod["spec"]["volumes"]
    assert container["image"] == f"mirror.example.com:5000/codesessions/platform@{DIGEST}"
    assert pod["metadata"]["labels"]["tier"] == "front"
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == component


@pytest.mark.parametrize("component", ["api", "gateway"])
def test_an_autoscaler_owns_the_number_of_pods(component: str) -> None:
    rendered = render(EVERYTHING)
    name = f"codesessions-{component}"
    assert "replicas" not in rendered.one("Deployment", name)["spec"]
    spec = rendered.one("HorizontalPodAutoscaler", name)["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    metrics = [each.get("resource", {}).get("name", each["type"]) for each in spec["metrics"]]
    assert metrics == ["cpu", "memory", "Pods"]
    assert spec["behavior"] == AUTOSCALED["autoscaling"]["behavior"]
    assert rendered.one("PodDisruptionBudget", name)["spec"]["maxUnavailable"] == "50%"
    assert render().all("HorizontalPodAutoscaler") == []


def test_a_budget_follows_the_least_number_of_pods() -> None:
    single = {"autoscaling": {"enabled": True, "minReplicas": 1}}
    names = {each["metadata"]["name"] for each in render({"api": single}).all("PodDisruptionBudget")}
    assert names == {"codesessions-gateway"}


def test_the_values_for_high_availability() -> None:
    rendered = render(yaml.safe_load((CHART / "values-ha.yaml").read_text()))
    assert rendered.one("Deployment", "codesessions-operator")["spec"]["replicas"] == 2
    assert all(each["spec"]["minReplicas"] == 2 for each in rendered.all("HorizontalPodAutoscaler"))
    assert len(rendered.all("PodDisruptionBudget")) == 3
    for component in COMPONENTS:
        host, zone = rendered.pod(component)["spec"]["topologySpreadConstraints"]
        assert (host["whenUnsatisfiable"], zone["whenUnsatisfiable"]) == ("DoNotSchedule", "ScheduleAnyway")
        assert host["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == component


def test_certificates_for_what_the_ingresses_serve() -> None:
    def wanted(**ingress: Any) -> dict[str, list[str]]:
        values = {**ALL, "ingress": {**ALL["ingress"], **ingress}}
        found = render(values).all("Certificate")
        assert all(each["spec"]["issuerRef"]["kind"] == "ClusterIssuer" for each in found)
        return {each["spec"]["secretName"]: each["spec"]["dnsNames"] for each in found}

    assert wanted() == {"codesessions-api-tls": ["api.example.com"], "codesessions-pty-tls": ["pty.example.com"]}
    same = wanted(pty={"host": "api.example.com"})
    assert same == {"codesessions-api-tls": ["api.example.com"]}
    shared = wanted(
        api={"host": "api.example.com", "tlsSecretName": "x"}, pty={"host": "pty.example.com", "tlsSecretName": "x"}
    )
    assert shared == {"x": ["api.example.com", "pty.example.com"]}


def test_routes_of_the_gateway_api() -> None:
    rendered = render({"ptyBaseUrl": "", "httpRoute": ROUTES})
    api, pty = (rendered.one("HTTPRoute", f"codesessions-{name}")["spec"] for name in ("api", "pty"))
    for spec, host, service in ((api, "api.example.com", "api"), (pty, "pty.example.com", "gateway")):
        assert spec["parentRefs"] == ROUTES["parentRefs"]
        assert spec["hostnames"] == [host]
        (rule,) = spec["rules"]
        assert rule["backendRefs"] == [{"name": f"codesessions-{service}", "port": 80}]
        assert rule["timeouts"] == {"request": "0s"}
    paths = {match["path"]["value"] for match in api["rules"][0]["matches"]}
    assert paths == {"/api", "/healthz", "/readyz", "/docs", "/openapi.json"}
    assert pty["rules"][0]["matches"] == [{"path": {"type": "RegularExpression", "value": "/cs_.*"}}]
    assert rendered.environment("operator")["CODESESSIONS_PTY_BASE_URL"] == "https://pty.example.com"
    bare = render({"httpRoute": {**ROUTES, "timeout": ""}}).one("HTTPRoute", "codesessions-api")
    assert "timeouts" not in bare["spec"]["rules"][0]


def test_objects_of_ones_own_may_be_templates() -> None:
    found = render(EVERYTHING).one("ConfigMap", "codesessions-extra")
    assert found["data"] == {"where": "system"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"httpRoute": {**ROUTES, "parentRefs": []}}, "httpRoute.parentRefs is missing"),
        ({"httpRoute": {**ROUTES, "pty": {"host": ""}}}, "httpRoute.pty.host is missing"),
        (
            {
                "httpRoute": {
                    **ROUTES,
                    "pty": {"host": "api.example.com", "match": {"type": "PathPrefix", "value": "/"}},
                }
            },
            "httpRoute.pty.match.value is / on the API's host",
        ),
        ({"certificate": {"enabled": True, "issuerRef": {"name": "x"}}}, "set ingress.enabled and ingress.tls.enabled"),
        ({**EVERYTHING, "certificate": {"enabled": True}}, "certificate.issuerRef.name is missing"),
        ({"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}, "exclude each other"),
        ({"api": {"autoscaling": {"enabled": True, "maxReplicas": 1}}}, "maxReplicas is less than minReplicas"),
        (
            {"gateway": {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": 0}}},
            "gateway.autoscaling has no metric",
        ),
        ({"operator": {"autoscaling": {"enabled": True}}}, "'autoscaling' not allowed"),
        ({"prometheusRule": {"enabled": True, "disabled": ["CodeSessionsNoSuch"]}}, "which is no alert"),
        ({"api": {"extraVolumeMounts": [{"name": "x"}]}}, "/api/extraVolumeMounts/0"),
    ],
)
def test_what_cannot_work_is_refused(values: Object, words: str) -> None:
    assert words in refusal({"ptyBaseUrl": "https://pty.example.com", **values})
