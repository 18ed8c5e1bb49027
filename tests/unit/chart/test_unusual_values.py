"""What strangers set: nulls, large numbers, names that YAML takes for numbers, things of their own in place of ours."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from support import podsecurity
from support.helm import CHART, URL, Object, Rendered, helm, refusal, render
from unit.chart.test_values import VALUES

COMPONENTS = ("operator", "api", "gateway")
KEY: Object = {"masterKey": {"existingSecret": "own"}}
NOTHING = {"replicas", "podSecurityContext", "securityContext", "strategy", "labels"}
"""Values whose null, or the null of a field of theirs, says something."""


def nulls(values: Object, depth: int, path: tuple[str, ...] = ()) -> Object:
    """Null for every value at this depth that may be null."""
    found: Object = {}
    for name, value in values.items():
        ours = name == "resources" and path[:1] not in {("workspaces",), ("apps",), ("build",)}
        if name in NOTHING or ours or (name, *path) == ("existingSecret", "masterKey"):
            continue
        if depth == 1:
            found[name] = None
        elif isinstance(value, dict) and value and path[-1:] != ("resources",) and name != "match":
            found[name] = nulls(value, depth - 1, (*path, name))
    return found


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_null_is_the_default(depth: int) -> None:
    values = {**nulls(VALUES, depth), **URL}
    values["masterKey"] = {**(values.get("masterKey") or {}), **KEY["masterKey"]}
    assert len(values) > 2
    assert render(values).objects == render(KEY).objects


def test_every_template_knows_the_defaults() -> None:
    for file in (CHART / "templates").iterdir():
        assert file.suffix == ".tpl" or file.read_text().startswith('{{- include "codesessions.ready" . -}}'), file.name


def test_nothing_may_be_asked_for() -> None:
    found = render({"api": {"resources": None, "securityContext": {"capabilities": None}}}).pod("api")["spec"]
    (container,) = found["containers"]
    assert "resources" not in container
    assert "capabilities" not in container["securityContext"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_large_numbers_are_written_out() -> None:
    values = {
        "registry": {"archiveSeconds": 2592000},
        "api": {"terminationGracePeriodSeconds": 2000000},
        "workspaces": {"storage": {"size": 10737418240}, "resources": {"limits": {"memory": 1073741824, "cpu": 0.5}}},
        "apps": {"resources": {"limits": {"memory": 1073741824}}},
        "organizations": [{"name": "a", "quota": {"pods": 20, "requests.memory": 17179869184}}],
    }
    rendered = render(values)
    told = rendered.environment("operator")
    assert told["CODESESSIONS_ARCHIVE_SECONDS"] == "2592000"
    assert told["CODESESSIONS_STORAGE_SIZE"] == "10737418240"
    assert told["CODESESSIONS_WORKSPACE_MEMORY_LIMIT"] == told["CODESESSIONS_APPS_MEMORY_LIMIT"] == "1073741824"
    assert told["CODESESSIONS_WORKSPACE_CPU_LIMIT"] == "0.5"
    assert rendered.pod("api")["spec"]["terminationGracePeriodSeconds"] == 2000000
    (quota,) = rendered.all("ResourceQuota")
    assert quota["spec"]["hard"] == {"pods": "20", "requests.memory": "17179869184"}


@pytest.mark.parametrize(("release", "values"), [("1.2", {}), ("my.release", {}), ("true", {"nameOverride": "shells"})])
def test_names_that_are_no_names_of_services(release: str, values: Object) -> None:
    more = {"api": {"priorityClassName": "1"}, "helmTest": {"keySecret": "2"}, "masterKey": {"existingSecret": "3"}}
    rendered = render({**values, **more}, release=release, namespace="123")
    for each in rendered.objects:
        metadata = each["metadata"]
        assert "." not in metadata["name"] or each["kind"] == "CustomResourceDefinition"
        assert not metadata["name"][0].isdigit()
        assert metadata.get("namespace", "123") == "123"
        assert metadata["labels"]["app.kubernetes.io/instance"] == release
    spec = rendered.pod("api")["spec"]
    assert spec["priorityClassName"] == "1"
    assert spec["volumes"][0]["secret"]["secretName"] == "3"


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("x", {"nameOverride": "shells"}, "x-shells"),
        ("my-shells", {"nameOverride": "shells"}, "my-shells"),
        ("a" * 53, {"nameOverride": "b" * 24}, f"{'a' * 15}-{'b' * 24}"),
        ("codesessions-" + "a" * 40, {}, ("codesessions-" + "a" * 40)[:40]),
        ("x", {"nameOverride": "shells", "fullnameOverride": "cs"}, "cs"),
    ],
)
def test_names_of_ones_own(release: str, values: Object, name: str) -> None:
    assert render(values, release=release).one("Deployment", f"{name}-api")


def test_what_a_team_sets_goes_before_ours() -> None:
    mine = {"name": "tmp", "emptyDir": {"medium": "Memory"}}
    values = {
        "env": [{"name": "CODESESSIONS_LOG_LEVEL", "value": "DEBUG"}],
        "extraVolumes": [mine, {"name": "fast", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "fast", "mountPath": "/var/cache/codesessions"}],
    }
    spec = render({"api": values}).pod("api")["spec"]
    (container,) = spec["containers"]
    assert [each["value"] for each in container["env"] if each["name"] == "CODESESSIONS_LOG_LEVEL"] == ["DEBUG"]
    assert [each for each in spec["volumes"] if each["name"] == "tmp"] == [mine]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    assert mounts == {"/etc/codesessions": "master-key", "/tmp": "tmp", "/var/cache/codesessions": "fast"}
    assert len(container["volumeMounts"]) == len(mounts)


def test_how_pods_run_can_be_set() -> None:
    values = {
        "runtimeClassName": "gvisor",
        "podSecurityContext": {"fsGroup": 2000},
        "securityContext": {"runAsUser": 2000},
        "deploymentAnnotations": {"reloader": "true"},
        "strategy": {"type": "Recreate"},
    }
    rendered = render({"gateway": values})
    deployment, spec = rendered.one("Deployment", "codesessions-gateway"), rendered.pod("gateway")["spec"]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["securityContext"]["fsGroup"] == spec["containers"][0]["securityContext"]["runAsUser"] == 2000
    assert podsecurity.violations(spec) == []
    assert deployment["metadata"]["annotations"]["reloader"] == "true"
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert "annotations" not in rendered.one("Deployment", "codesessions-api")["metadata"]


@pytest.mark.parametrize("graces", [{0: None, 4: 3}, {1: None, 6: 5}])
def test_a_pod_leaves_within_its_time(graces: dict[int, int | None]) -> None:
    graced = dict(zip(("api", "gateway"), graces.items(), strict=True))
    rendered = render({name: {"terminationGracePeriodSeconds": grace} for name, (grace, _) in graced.items()})
    for name, (_, seconds) in graced.items():
        (container,) = rendered.pod(name)["spec"]["containers"]
        hook = None if seconds is None else {"preStop": {"sleep": {"seconds": seconds}}}
        assert container.get("lifecycle") == hook


def test_programs_may_share_an_account() -> None:
    shared = {"serviceAccount": {"name": "shared"}}
    names = [each["metadata"]["name"] for each in render({"api": shared, "gateway": shared}).all("ServiceAccount")]
    assert sorted(names) == ["codesessions-operator", "shared"]


def test_more_hosts_of_each() -> None:
    api = {"host": "a.example.com", "extraHosts": ["a2.example.com"]}
    pty = {"host": "p.example.com", "extraHosts": ["p2.example.com", "p3.example.com"]}
    issuer = {"enabled": True, "issuerRef": {"name": "x"}}
    route = {"enabled": True, "parentRefs": [{"name": "g"}], "api": api, "pty": pty}
    ingress = {"enabled": True, "api": api, "pty": pty}
    rendered = render({"ingress": ingress, "certificate": issuer, "httpRoute": route})
    for name, hosts in (("api", ["a.example.com", "a2.example.com"]), ("pty", [pty["host"], *pty["extraHosts"]])):
        spec = rendered.one("Ingress", f"codesessions-{name}")["spec"]
        assert [rule["host"] for rule in spec["rules"]] == spec["tls"][0]["hosts"] == hosts
        assert spec["rules"][0]["http"] == spec["rules"][-1]["http"]
        assert rendered.one("Certificate", f"codesessions-{name}-tls")["spec"]["dnsNames"] == hosts
        assert rendered.one("HTTPRoute", f"codesessions-{name}")["spec"]["hostnames"] == hosts


def _annotations(rendered: Rendered, component: str) -> Object:
    found: Object = rendered.pod(component)["metadata"].get("annotations", {})
    return found


def test_pods_are_replaced_when_what_they_read_once_changes() -> None:
    bundled: Object = {"enabled": True, "nodeSelector": {"disk": "ssd"}}
    plain = render({"registry": {"bundled": bundled}})
    slower = render({"registry": {"bundled": {**bundled, "garbageCollectionSeconds": 3600}}})
    assert plain.pod("registry")["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert _annotations(plain, "registry") != _annotations(slower, "registry")
    one, two = (render({"registry": {"url": "https://r.test", "caBundle": pem}}) for pem in ("one", "two"))
    for component in ("operator", "api"):
        assert _annotations(one, component) != _annotations(two, component)
    assert _annotations(one, "gateway") == _annotations(two, "gateway") == {}


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"images": {"registry": "https://mirror.example.com"}}, "/images/registry"),
        ({"fullnameOverride": "1abc"}, "/fullnameOverride"),
        ({"nameOverride": "Shells"}, "/nameOverride"),
        ({"api": {"podLabels": {"team": "two words"}}}, "/api/podLabels/team"),
        ({"ingress": {"api": {"extraHosts": [""]}}}, "/ingress/api/extraHosts/0"),
        ({"organizations": [{"name": "a", "quota": {"pods": "many"}}]}, "/organizations/0/quota/pods"),
        ({"workspaces": {"resources": {"limits": {"cpu": None}}}}, "missing property 'cpu'"),
        ({"api": {"podAnnotations": {"a": True}}}, "/api/podAnnotations/a': got boolean, want string"),
        ({"images": {"platform": {"tag": 1.31}}}, "/images/platform/tag': got number, want string"),
    ],
)
def test_what_is_refused(values: Object, where: str) -> None:
    assert where in refusal({**URL, **values})


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({}, "networkPolicy.enabled is off", "WARNING"),
        ({"crds": {"keep": False}}, "WARNING: crds.keep is off", "leaves sessions"),
        ({"crds": {"install": False}}, "apply the definitions of this version yourself", "leaves sessions"),
        ({"operator": {"replicas": 0}}, "operator.replicas is 0", "api.replicas is 0"),
        ({"organizations": [{"name": "acme"}]}, "keys create --org acme", "org create"),
        (
            {"operator": {"replicas": 2}, "api": {"replicas": 1, "autoscaling": {"enabled": True}}},
            "helm test codesessions",
            "Not every program",
        ),
        (
            {"api": {"autoscaling": {"enabled": True, "minReplicas": 1}}, "operator": {"replicas": 2}},
            "Not every",
            "off.",
        ),
    ],
)
def test_the_notes_tell_of_what_is_unusual(values: dict[str, Any], said: str, unsaid: str) -> None:
    words = ("install", "codesessions", CHART, "--namespace=system", "--dry-run=client")
    answer = helm(*words, values={**URL, "networkPolicy": {"enabled": said[:7] != "network"}, **values})
    notes = answer.stdout.partition("NOTES:")[2]
    assert said in notes
    assert unsaid not in notes


def test_the_defaults_are_the_values() -> None:
    assert yaml.safe_load((CHART / "files" / "defaults.yaml").read_text()) == VALUES
