"""What the three Deployments run, and as whom."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from codesessions_oci.settings import VARIABLES, RegistrySettings
from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.settings import Settings, read_settings
from support import podsecurity
from support.helm import render

COMPONENTS = ("operator", "api", "gateway")
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_pass_pod_security_restricted(component: str) -> None:
    spec = render().pod(component)["spec"]
    assert podsecurity.violations(spec) == []
    (container,) = podsecurity.containers(spec)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["enableServiceLinks"] is False


def test_the_check_of_pod_security_finds_what_is_wrong() -> None:
    bare: dict[str, Any] = {
        "hostNetwork": True,
        "volumes": [{"name": "x", "hostPath": {"path": "/"}}],
        "containers": [
            {"name": "c", "ports": [{"hostPort": 1}], "securityContext": {"runAsUser": 0, "privileged": True}}
        ],
    }
    assert set(podsecurity.violations(bare)) == {
        "hostNetwork is set",
        "volume x is a hostPath",
        "c may run as root",
        "c runs as root",
        "c has no seccomp profile",
        "c may escalate",
        "c is privileged",
        "c keeps capabilities",
        "c has a host port",
    }


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_runs_its_command_and_is_probed(component: str) -> None:
    (container,) = render().pod(component)["spec"]["containers"]
    assert container["command"] == [f"codesessions-{component}"]
    (port,) = container["ports"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}
    assert render().environment(component)["CODESESSIONS_LISTEN"] == f"0.0.0.0:{port['containerPort']}"
    assert container["resources"]["requests"]
    assert container["resources"]["limits"]["memory"]


def test_the_operator_understands_its_environment() -> None:
    values = {
        "workspaces": {
            "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
            "storage": {"className": "fast", "size": "5Gi"},
            "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 1.5, "memory": "2Gi"}},
            "runtimeClassName": "gvisor",
            "egress": {"allow": [], "except": ["10.0.0.0/8", "fd00::/8"]},
        },
        "logging": {"level": "DEBUG", "format": "text"},
        "ptyBaseUrl": "https://pty.example.com/",
    }
    settings = read_settings(render(values).environment("operator"))
    assert settings == Settings(
        namespace="$(metadata.namespace)",
        pty_base_url="https://pty.example.com",
        workspace_image="codesessions/workspace:0.1.0",
        sidecar_image="codesessions/sidecar:0.1.0",
        image_pull_secrets="a,b",
        storage_class="fast",
        storage_size="5Gi",
        workspace_cpu_request="1",
        workspace_memory_request="1Gi",
        workspace_cpu_limit="1.5",
        workspace_memory_limit="2Gi",
        runtime_class="gvisor",
        egress="",
        egress_except="10.0.0.0/8,fd00::/8",
        log_level="DEBUG",
        log_format="text",
    )


def test_the_defaults_of_chart_and_operator_are_the_same() -> None:
    settings = read_settings(render().environment("operator"))
    images = {"workspace_image": settings.workspace_image, "sidecar_image": settings.sidecar_image}
    assert settings == Settings(**images, namespace="$(metadata.namespace)")


def test_every_variable_of_the_operator_is_one_of_its_settings() -> None:
    known = {f"CODESESSIONS_{field.name.upper()}" for kind in (Settings, AppSettings) for field in fields(kind)}
    assert set(render().environment("operator")) == (known | set(VARIABLES)) - {"CODESESSIONS_LEADER_ELECTION"}


def test_the_gateway_is_told_of_the_pages_that_may_open_terminals() -> None:
    values = {"allowedOrigins": ["https://a.example.com", "https://b.example.com:8443"]}
    environment = render(values).environment("gateway")
    assert environment["CODESESSIONS_ALLOWED_ORIGINS"] == "https://a.example.com,https://b.example.com:8443"
    assert render().environment("gateway")["CODESESSIONS_ALLOWED_ORIGINS"] == ""


@pytest.mark.parametrize(
    ("images", "references"),
    [
        ({}, ("codesessions/platform:0.1.0", "codesessions/sidecar:0.1.0", "codesessions/workspace:0.1.0")),
        (
            {
                "registry": "mirror.example.com:5000/",
                "platform": {"tag": "2"},
                "sidecar": {"repository": "a/b", "tag": "3", "digest": DIGEST},
                "workspace": {"digest": DIGEST},
            },
            (
                "mirror.example.com:5000/codesessions/platform:2",
                f"mirror.example.com:5000/a/b@{DIGEST}",
                f"mirror.example.com:5000/codesessions/workspace@{DIGEST}",
            ),
        ),
    ],
)
def test_images_by_tag_or_digest(images: dict[str, Any], references: tuple[str, str, str]) -> None:
    rendered = render({"images": {**images, "pullPolicy": "Always"}})
    for component in COMPONENTS:
        (container,) = rendered.pod(component)["spec"]["containers"]
        assert (container["image"], container["imagePullPolicy"]) == (references[0], "Always")
    environment = rendered.environment("operator")
    assert environment["CODESESSIONS_SIDECAR_IMAGE"] == references[1]
    assert environment["CODESESSIONS_WORKSPACE_IMAGE"] == references[2]
    assert environment["CODESESSIONS_IMAGE_PULL_POLICY"] == "Always"


def test_what_a_platform_team_sets_arrives() -> None:
    toleration = {"key": "dedicated", "operator": "Exists"}
    affinity: dict[str, Any] = {"nodeAffinity": {}}
    values = {
        "commonLabels": {"team": "platform"},
        "commonAnnotations": {"contact": "platform@example.com"},
        "imagePullSecrets": [{"name": "pull"}],
        "api": {
            "replicas": 3,
            "resources": {"limits": {"memory": "1Gi"}},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
            "podLabels": {"tier": "front"},
            "podAnnotations": {"a": "b"},
            "nodeSelector": {"pool": "system"},
            "tolerations": [toleration],
            "affinity": affinity,
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            ],
            "priorityClassName": "system-cluster-critical",
            "terminationGracePeriodSeconds": 7,
            "service": {"type": "LoadBalancer", "annotations": {"lb": "internal"}},
            "serviceAccount": {"annotations": {"role": "r"}},
        },
    }
    rendered = render(values)
    assert all(each["metadata"]["labels"]["team"] == "platform" for each in rendered.objects)
    assert all(each["metadata"]["annotations"]["contact"] == "platform@example.com" for each in rendered.objects)
    deployment, pod = rendered.one("Deployment", "codesessions-api"), rendered.pod("api")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert pod["metadata"]["labels"]["tier"] == "front"
    assert pod["metadata"]["annotations"] == {"a": "b", "contact": "platform@example.com"}
    spec = pod["spec"]
    assert spec["nodeSelector"] == {"pool": "system"}
    assert spec["tolerations"] == [toleration]
    assert spec["affinity"] == affinity
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert spec["terminationGracePeriodSeconds"] == 7
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    (spread,) = spec["topologySpreadConstraints"]
    assert spread["topologyKey"] == "zone"
    assert spread["labelSelector"] == deployment["spec"]["selector"]
    assert rendered.environment("api")["HTTPS_PROXY"] == "http://proxy"
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    service = rendered.one("Service", "codesessions-api")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["metadata"]["annotations"]["lb"] == "internal"
    assert rendered.one("ServiceAccount", "codesessions-api")["metadata"]["annotations"]["role"] == "r"


def test_an_autoscaler_may_own_the_number_of_pods() -> None:
    assert "replicas" not in render({"api": {"replicas": None}}).one("Deployment", "codesessions-api")["spec"]


def test_a_single_pod_does_not_stop_a_drain() -> None:
    names = {each["metadata"]["name"] for each in render().all("PodDisruptionBudget")}
    assert names == {"codesessions-api", "codesessions-gateway"}
    more = render({"operator": {"replicas": 2}, "api": {"podDisruptionBudget": {"enabled": False}}})
    assert {each["metadata"]["name"] for each in more.all("PodDisruptionBudget")} == {
        "codesessions-operator",
        "codesessions-gateway",
    }


def test_selectors_and_services_find_their_pods_and_no_others() -> None:
    rendered = render()
    labels = {component: rendered.pod(component)["metadata"]["labels"] for component in COMPONENTS}
    for kind in ("Service", "PodDisruptionBudget"):
        for each in rendered.all(kind):
            selector = each["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            (found,) = (component for component, has in labels.items() if selector.items() <= has.items())
            assert each["metadata"]["name"] == f"codesessions-{found}"
    for component in COMPONENTS:
        (port,) = rendered.one("Service", f"codesessions-{component}")["spec"]["ports"]
        (target,) = rendered.pod(component)["spec"]["containers"][0]["ports"]
        assert port["targetPort"] == target["name"]


def test_two_releases_share_no_name_but_the_definitions() -> None:
    def names(release: str) -> set[tuple[str, str]]:
        rendered = render(release=release, namespace="same")
        return {(each["kind"], each["metadata"]["name"]) for each in rendered.objects}

    shared = names("blue") & names("codesessions")
    assert {kind for kind, _ in shared} == {"CustomResourceDefinition"}
    assert all("blue" in name for kind, name in names("blue") if kind != "CustomResourceDefinition")


def test_long_names_are_cut() -> None:
    rendered = render(release="a" * 53)
    assert all(len(each["metadata"]["name"]) <= 63 for each in rendered.objects)
    assert render({"fullnameOverride": "cs"}).one("Deployment", "cs-api")


REGISTRY = {
    "url": "https://r.example.com/team",
    "pullPrefix": "r:5000/team",
    "existingSecret": "s",
    "caBundle": "PEM\n",
}


@pytest.mark.parametrize("component", ["operator", "api"])
def test_operator_and_api_are_told_of_the_registry(component: str) -> None:
    assert RegistrySettings.read(render().environment(component)) is None
    rendered = render({"registry": REGISTRY})
    environment = rendered.environment(component)
    pod = rendered.pod(component)["spec"]
    (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "registry")
    (volume,) = (each for each in pod["volumes"] if each["name"] == "registry")
    paths = {
        f"{mount['mountPath']}/{item['path']}"
        for source in volume["projected"]["sources"]
        for kind in source.values()
        for item in kind["items"]
    }
    assert paths == {environment[f"CODESESSIONS_REGISTRY_{name}_FILE"] for name in ("AUTH", "CA")}
    settings = RegistrySettings.read({name: value for name, value in environment.items() if value not in paths})
    assert settings is not None
    assert (str(settings.url), settings.pull_prefix) == (REGISTRY["url"], REGISTRY["pullPrefix"])
    assert rendered.one("ConfigMap", "codesessions-registry")["data"]["ca.crt"] == "PEM\n"


def test_the_gateway_has_no_business_with_the_registry() -> None:
    assert render({"registry": REGISTRY}).environment("gateway").keys() == render().environment("gateway").keys()
