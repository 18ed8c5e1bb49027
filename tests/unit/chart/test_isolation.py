"""Who may talk to whom: every pair of pods, by the policies that chart and operator make, with the labels they give.

Nothing here is written twice: pods come from the builders and from the rendered chart, and so do the policies.
"""

from __future__ import annotations

import functools
import itertools

import pytest
from codesessions_crds.names import ORGANIZATION_LABEL, PTY_PORT
from codesessions_operator.apps import objects
from codesessions_operator.apps.objects import Application
from codesessions_operator.apps.policies import app_policies
from codesessions_operator.apps.settings import AppSettings, read_app_settings
from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines.layers import Layers
from codesessions_operator.builds.pod import build_pod
from codesessions_operator.desired.archivepod import archive_pod
from codesessions_operator.desired.pod import pod as session_pod
from codesessions_operator.desired.policy import policies as session_policies
from codesessions_operator.settings import Settings, read_settings
from support.deploys import application
from support.helm import Object, render
from support.networkpolicies import Endpoint, allowed
from support.operator import session

SYSTEM, INGRESS, DNS = "system", "ingress", "kube-system"
ORGANIZATIONS = ("red", "blue")
APISERVER = ["10.96.0.1", "192.0.2.10"]
REGISTRY = "http://codesessions-registry.system.svc:5000"
VALUES: Object = {
    "networkPolicy": {
        "enabled": True,
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": INGRESS}}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "nodes": ["198.51.100.0/24"],
    },
    "apps": {"ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": INGRESS}}}]},
    "registry": {"bundled": {"enabled": True}},
}
OPEN: Object = {**VALUES, "apps": {}, "networkPolicy": {"enabled": True}}
"""The defaults: nobody is named who may come in."""

_addresses = (f"10.244.{number // 250}.{number % 250 + 1}" for number in itertools.count())


def endpoint(name: str, namespace: str, labels: dict[str, str], **ports: int) -> Endpoint:
    own = {"kubernetes.io/metadata.name": namespace}
    if namespace in ORGANIZATIONS:
        own[ORGANIZATION_LABEL] = f"org_{namespace}"
    return Endpoint(name, next(_addresses), namespace, labels, own, ports)


def settings_of(values: Object) -> tuple[Settings, AppSettings]:
    environment = {**render(values).environment("operator"), "CODESESSIONS_NAMESPACE": SYSTEM}
    return read_settings(environment), read_app_settings(environment)


def pods_of(namespace: str) -> dict[str, Endpoint]:
    """One of each kind of pod that is ever in an organisation's namespace."""
    made, _ = settings_of(VALUES)
    here = session().model_copy(update={"namespace": namespace})
    request = BuildRequest(namespace, "bld-a", "app-a", "sha256:0", f"{namespace}/sources", f"{namespace}/app-a")
    building = BuildSettings(builder_image="b:1", runtime_images=(("runtime", "r/r:1"),), registry_url=REGISTRY)
    app: Application = application()
    found = {
        "workspace": session_pod(here, made)["metadata"]["labels"],
        "archive": archive_pod(here, made)["metadata"]["labels"],
        "app": objects.labels(app.name),
        "build": build_pod(Layers(), request, building, "uid")["metadata"]["labels"],
        "stranger": {"app": "somebody-elses"},
    }
    return {name: endpoint(f"{namespace}/{name}", namespace, labels) for name, labels in found.items()}


@functools.cache
def world() -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for namespace in ORGANIZATIONS:
        found |= {each.name: each for each in pods_of(namespace).values()}
    chart = render(VALUES)
    for component in (*OURS, "registry"):
        found[component] = endpoint(component, SYSTEM, chart.pod(component)["metadata"]["labels"])
    found["dns"] = endpoint("dns", DNS, {"k8s-app": "kube-dns"})
    found["ingress"] = endpoint("ingress", INGRESS, {"app": "envoy"})
    found["prometheus"] = endpoint("prometheus", "monitoring", {"app": "prometheus"})
    found["bystander"] = endpoint("bystander", "default", {"app": "anything"})
    outside = {
        "internet": "203.0.113.5",
        "metadata": "169.254.169.254",
        "apiserver service": APISERVER[0],
        "apiserver": APISERVER[1],
        "private network": "10.1.2.3",
    }
    return found | {name: Endpoint(name, address) for name, address in outside.items()}


@functools.cache
def rules(kind: str) -> tuple[Object, ...]:
    values = VALUES if kind == "closed" else OPEN
    settings, apps = settings_of(values)
    found = list(render(values).all("NetworkPolicy"))
    for namespace in ORGANIZATIONS:
        found += session_policies(namespace, settings, APISERVER)
        found += app_policies(apps, ("codesessions-registry.system.svc", 5000))(namespace, settings, APISERVER)
    return tuple(found)


def may(source: str, target: str, port: int, protocol: str = "TCP", kind: str = "closed") -> bool:
    """Whether all network plugins let it pass; one that does and one that does not is an error of the test's own."""
    answers = {
        allowed(rules(kind), world()[source], world()[target], port, protocol, blocks_mean_pods=way)
        for way in (True, False)
    }
    assert len(answers) == 1, f"{source} to {target}:{port} depends on the network plugin"
    return answers.pop()


OURS, TERMINALS = ("operator", "api", "gateway"), ("workspace", "archive")
TENANTS = (*TERMINALS, "app", "build", "stranger")
FREE = ("ingress", "prometheus", "bystander", "dns")
"""Pods whose namespaces have no policies of ours."""
SOURCES = (*(f"{org}/{pod}" for org in ORGANIZATIONS for pod in TENANTS), *OURS, "registry", *FREE)
PORTS = (22, 53, 80, 443, 5000, 6443, PTY_PORT, 8080, 8081, 8082)
ABROAD = {53, 443, 6443}
"""Ports at which operator, API and gateway may reach anybody: names, and the API server, whose address nobody knows."""


def expected(source: str, target: str, port: int) -> bool:
    """The whole table. What is not said here must not pass."""
    kind, theirs = source.rpartition("/")[2], target.rpartition("/")[2]
    if source == "registry" or kind == "stranger":
        return False
    if theirs in TERMINALS:
        return source in OURS and port == PTY_PORT
    if theirs == "app":
        return source == "ingress"
    if "/" in target:  # builds, and strangers
        return False
    if target in OURS:
        served = {"api": ("ingress", 8080), "gateway": ("ingress", 8081), "operator": ("prometheus", 8082)}
        return (source, port) == served[target]
    if target == "registry":
        return (kind in {"operator", "api", "build"}) and port == 5000
    if source in FREE:
        return True
    if source in OURS:
        return port in ABROAD or (port == 5000 and source != "gateway")
    # An organisation's pods: names, the internet, and builds the registry, by whatever private address it has.
    if target == "internet":
        return True
    if target in FREE:
        return port == 53 or (port == 5000 and kind == "build")
    return target == "private network" and port == 5000 and kind == "build"


@pytest.mark.parametrize("source", SOURCES)
def test_every_pair_that_must_talk_can_and_no_other(source: str) -> None:
    wrong = [
        f"{target}:{port} {'is shut' if expected(source, target, port) else 'is open'}"
        for target in world()
        for port in PORTS
        if target != source and may(source, target, port) is not expected(source, target, port)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        *((who, f"red/{pod}", PTY_PORT) for who in OURS for pod in TERMINALS),
        ("ingress", "api", 8080),
        ("ingress", "gateway", 8081),
        ("ingress", "blue/app", 8080),
        ("prometheus", "operator", 8082),
        ("blue/build", "registry", 5000),
        *((f"red/{pod}", "internet", 443) for pod in ("workspace", "app", "build")),
        *((who, "apiserver", 6443) for who in OURS),
    ],
)
def test_the_product_works_behind_its_policies(source: str, target: str, port: int) -> None:
    assert may(source, target, port)


@pytest.mark.parametrize("pod", ["red/workspace", "red/app", "red/build", *OURS])
@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_names_can_be_resolved(pod: str, protocol: str) -> None:
    assert may(pod, "dns", 53, protocol)


@pytest.mark.parametrize("kind", ["closed", "open"])
@pytest.mark.parametrize("pod", TENANTS)
@pytest.mark.parametrize("target", ["metadata", "apiserver", "apiserver service", "operator", "api", "gateway"])
def test_no_tenant_reaches_metadata_the_api_server_or_the_platform(kind: str, pod: str, target: str) -> None:
    """With the defaults too, but for the ports that API and gateway serve to everybody."""
    served = {"operator": 8082, "api": 8080, "gateway": 8081}
    if kind == "open" and target in served:
        assert not may(f"red/{pod}", target, served[target], kind=kind)  # not from inside
    for port in PORTS:
        assert not any(
            allowed(rules(kind), world()[f"red/{pod}"], world()[target], port, blocks_mean_pods=way)
            for way in (True, False)
        )


@pytest.mark.parametrize("source", TENANTS)
@pytest.mark.parametrize("target", TENANTS)
@pytest.mark.parametrize("port", PORTS)
def test_no_tenant_reaches_another_with_the_defaults(source: str, target: str, port: int) -> None:
    """A build reaches the registry's port at any private address: applications are kept from it by apps.ingressFrom."""
    ways = (False,) if (source, target, port) == ("build", "app", 5000) else (True, False)
    for way in ways:
        for organization in ORGANIZATIONS:  # its own too: there are no services between an organisation's pods
            here, there = world()[f"red/{source}"], world()[f"{organization}/{target}"]
            assert here is there or not allowed(rules("open"), here, there, port, blocks_mean_pods=way)


def test_what_is_private_can_be_opened_network_by_network() -> None:
    values = {**VALUES, "workspaces": {"egress": {"allow": ["0.0.0.0/0", "10.1.0.0/16"]}}}
    settings, _ = settings_of(values)
    found = session_policies("red", settings, APISERVER)
    here = world()["red/workspace"]
    assert allowed(found, here, world()["private network"], 443)
    assert not allowed(found, here, Endpoint("another", "10.2.0.1"), 443)
    assert not allowed(found, here, world()["apiserver service"], 443)


def test_all_that_is_private_can_be_opened() -> None:
    settings, _ = settings_of({"workspaces": {"egress": {"private": True}}})
    found = session_policies("red", settings, APISERVER)
    here = world()["red/workspace"]
    assert allowed(found, here, world()["private network"], 443)
    assert not allowed(found, here, world()["apiserver service"], 443)
    assert not allowed(found, here, world()["metadata"], 80)


def test_a_platform_team_can_do_without_the_denial() -> None:
    settings, apps = settings_of({"networkPolicy": {"tenantDefaultDeny": False}})
    found = [*session_policies("red", settings, []), *app_policies(apps, None)("red", settings, [])]
    assert {each["metadata"]["name"] for each in found} == {
        "codesessions-workspaces",
        "codesessions-apps",
        "codesessions-builds",
    }


def test_stronger_walls_are_values_of_the_chart() -> None:
    """User namespaces and RuntimeClasses, from the values to the pod."""
    walls = {"hostUsers": False, "runtimeClassName": "gvisor"}
    settings, apps = settings_of({"workspaces": walls, "apps": {"runtimeClassName": "gvisor"}})
    spec = session_pod(session(), settings)["spec"]
    assert (spec["hostUsers"], spec["runtimeClassName"]) == (False, "gvisor")
    assert archive_pod(session(), settings)["spec"]["hostUsers"] is False
    assert apps.apps_runtime_class == "gvisor"
