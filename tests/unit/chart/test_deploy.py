"""What the chart says of applications, builds and the bundled registry."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from codesessions_operator.apps.settings import read_app_settings
from support.helm import CHART, URL, helm, render
from support.podsecurity import violations

BUNDLED: dict[str, Any] = {"registry": {"bundled": {"enabled": True}}}


def refused(values: dict[str, Any]) -> str:
    answer = helm("template", CHART, values={**URL, **values})
    assert answer.returncode != 0
    return answer.stderr


def test_the_operator_can_read_what_it_is_told() -> None:
    values = {
        "apps": {
            "domain": "apps.example.com",
            "ingress": {"annotations": {"a": 'b"c'}},
            "imagePullSecrets": [{"name": "x"}, {"name": "y"}],
        },
        "build": {"runtimeImage": "registry/runtime:1", "env": {"HTTPS_PROXY": "http://proxy:3128"}},
    }
    found = read_app_settings(render(values).environment("operator"))
    assert found.apps_domain == "apps.example.com"
    assert json.loads(found.apps_annotations) == {"a": 'b"c'}
    assert (found.apps_url, found.apps_pull_secrets) == ("https://{host}", "x,y")
    builds = found.builds("http://registry", "registry", "IfNotPresent")
    assert builds.runtime_images == (("runtime", "registry/runtime:1"),)
    assert builds.env == (("HTTPS_PROXY", "http://proxy:3128"),)
    assert builds.builder_image.startswith("codesessions/platform:")
    assert found.source_total_bytes == str(2 << 30)


def test_without_tls_people_reach_applications_without_it() -> None:
    found = read_app_settings(render({"apps": {"tls": {"enabled": False}}}).environment("operator"))
    assert (found.apps_url, found.apps_tls) == ("http://{host}", "false")


def test_no_registry_is_bundled_unless_it_is_asked_for() -> None:
    assert not [each for each in render().all("Deployment") if "registry" in each["metadata"]["name"]]


def test_the_bundled_registry_is_where_programs_and_nodes_look_for_it() -> None:
    rendered = render(BUNDLED, namespace="system")
    for component in ("operator", "api"):
        found = rendered.environment(component)
        assert found["CODESESSIONS_REGISTRY_URL"] == "http://codesessions-registry.system.svc:5000"
        assert found["CODESESSIONS_REGISTRY_PULL_PREFIX"] == "localhost:32500"
    service = rendered.one("Service", "codesessions-registry")
    assert (service["spec"]["type"], service["spec"]["ports"][0]["nodePort"]) == ("NodePort", 32500)
    (deployment,) = [each for each in rendered.all("Deployment") if each["metadata"]["name"] == "codesessions-registry"]
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert violations(pod["spec"]) == []
    assert deployment["spec"]["strategy"]["type"] == "Recreate"  # one volume, one writer
    assert rendered.one("PersistentVolumeClaim", "codesessions-registry")["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep"
    }
    data = rendered.one("ConfigMap", "codesessions-registry-config")["data"]
    config = json.loads(data["config.json"])
    assert config["storage"]["delete"] == {"enabled": True}
    assert config["storage"]["maintenance"]["uploadpurging"]["age"] == "24h"
    assert config["http"]["draintimeout"] == "20s", "less than the pod's grace period"
    collect, serve = (
        data["serve.sh"].index(f"registry {word}") for word in ("garbage-collect --delete-untagged", "serve")
    )
    assert collect < serve


USERS: dict[str, Any] = {
    "registry": {"existingSecret": "login", "bundled": {"enabled": True, "htpasswdSecret": "users"}},
    "build": {"credentialsSecret": "login"},
    "apps": {"imagePullSecrets": [{"name": "pull"}]},
}


def test_the_bundled_registry_can_have_users() -> None:
    rendered = render(USERS)
    config = json.loads(rendered.one("ConfigMap", "codesessions-registry-config")["data"]["config.json"])
    (deployment,) = [each for each in rendered.all("Deployment") if each["metadata"]["name"] == "codesessions-registry"]
    spec = deployment["spec"]["template"]["spec"]
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "users"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "users"]
    assert volume["secret"]["secretName"] == "users"
    assert config["auth"]["htpasswd"]["path"] == f"{mount['mountPath']}/htpasswd"
    assert violations(spec) == []
    assert rendered.environment("operator")["CODESESSIONS_REGISTRY_AUTH_FILE"]


def test_a_registry_without_users_says_nothing_of_them() -> None:
    config = json.loads(render(BUNDLED).one("ConfigMap", "codesessions-registry-config")["data"]["config.json"])
    assert "auth" not in config


@pytest.mark.parametrize("place", ["registry.existingSecret", "build.credentialsSecret", "apps.imagePullSecrets"])
def test_whoever_needs_the_registry_must_have_a_user_of_it(place: str) -> None:
    values = copy.deepcopy(USERS)
    part, name = place.split(".")
    del values[part][name]
    assert place in refused(values)


def test_without_a_node_port_it_is_reached_in_the_cluster_alone() -> None:
    rendered = render({"registry": {"bundled": {"enabled": True, "nodePort": 0}}})
    service = rendered.one("Service", "codesessions-registry")
    assert service["spec"]["type"] == "ClusterIP"
    assert "nodePort" not in service["spec"]["ports"][0]
    assert rendered.environment("operator")["CODESESSIONS_REGISTRY_PULL_PREFIX"] == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"registry": {"url": "https://r.example.com", "bundled": {"enabled": True}}}, "exclude each other"),
        ({"apps": {"route": "httproute", "domain": "apps.example.com"}}, "apps.gateway is missing"),
        ({"apps": {"url": "https://example.com"}}, "apps"),
        ({"build": {"env": {"A": 1}}}, "build"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], words: str) -> None:
    assert words in refused(values)
