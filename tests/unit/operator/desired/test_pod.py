from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from codesessions_operator.desired.pod import pod
from support.operator import SETTINGS, session


def built(**workspace: Any) -> dict[str, Any]:
    return pod(session(workspace=workspace), SETTINGS)


def container(found: dict[str, Any], name: str) -> dict[str, Any]:
    both = [*found["spec"]["initContainers"], *found["spec"]["containers"]]
    return next(each for each in both if each["name"] == name)


def env(found: dict[str, Any], name: str = "workspace") -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(found, name)["env"]}


OWNER = {
    "apiVersion": "codesessions.dev/v1alpha1",
    "kind": "CodeSession",
    "name": "cs-abc123",
    "uid": "uid-cs",
    "controller": True,
    "blockOwnerDeletion": False,
}
LABELS = {
    "app.kubernetes.io/name": "codesessions-workspace",
    "app.kubernetes.io/managed-by": "codesessions-operator",
    "codesessions.dev/session": "cs-abc123",
}
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
HEALTH = {"httpGet": {"path": "/healthz", "port": "pty"}}


def test_the_whole_pod() -> None:
    assert pod(session(), SETTINGS) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ws-abc123", "namespace": "demo", "labels": LABELS, "ownerReferences": [OWNER]},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 10,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [
                {
                    "name": "pty",
                    "image": "sidecar:1",
                    "imagePullPolicy": "IfNotPresent",
                    "restartPolicy": "Always",
                    "ports": [{"name": "pty", "containerPort": 7681}],
                    "env": [
                        {"name": "CODESESSIONS_SESSION_ID", "value": "cs_abc123"},
                        {"name": "CODESESSIONS_SESSION_UID", "value": "uid-cs"},
                    ],
                    "lifecycle": {
                        "postStart": {
                            "exec": {
                                "command": ["/usr/local/bin/codesessions-launcher", "--install", "/run/codesession"]
                            }
                        }
                    },
                    "readinessProbe": {**HEALTH, "periodSeconds": 2, "timeoutSeconds": 2},
                    "livenessProbe": {**HEALTH, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
                    "securityContext": {**CONFINED, "readOnlyRootFilesystem": True},
                    "resources": {
                        "requests": {"cpu": "5m", "memory": "32Mi"},
                        "limits": {"cpu": "1", "memory": "128Mi"},
                    },
                    "volumeMounts": [
                        {"name": "run", "mountPath": "/run/codesession"},
                        {"name": "data", "mountPath": "/var/lib/codesession", "subPath": "terminal"},
                        {"name": "data", "mountPath": "/workspace", "subPath": "workspace", "readOnly": True},
                        {"name": "key", "mountPath": "/etc/codesession", "readOnly": True},
                    ],
                }
            ],
            "containers": [
                {
                    "name": "workspace",
                    "image": "workspace:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/run/codesession/launcher", "--"],
                    "workingDir": "/workspace",
                    "env": [
                        {"name": "TERM", "value": "xterm-256color"},
                        {"name": "LANG", "value": "C.UTF-8"},
                        {"name": "HOME", "value": "/workspace"},
                        {"name": "CODESESSIONS_SESSION_ID", "value": "cs_abc123"},
                        {"name": "CODESESSIONS_WORKSPACE_ID", "value": "ws_abc123"},
                    ],
                    "securityContext": CONFINED,
                    "resources": {
                        "requests": {"cpu": "25m", "memory": "64Mi", "ephemeral-storage": 0},
                        "limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "4Gi"},
                    },
                    "volumeMounts": [
                        {"name": "run", "mountPath": "/run/codesession", "readOnly": True},
                        {"name": "data", "mountPath": "/workspace", "subPath": "workspace"},
                    ],
                }
            ],
            "volumes": [
                {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "ws-abc123"}},
                {"name": "key", "secret": {"secretName": "ws-abc123", "defaultMode": 0o440}},
            ],
        },
    }


def test_it_passes_pod_security_restricted() -> None:
    """Kubernetes: Pod Security Standards, restricted, field by field."""
    spec = built(image="any:1", runAsUser=4711)["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for volume in spec["volumes"]:
        assert set(volume) - {"name"} <= {"emptyDir", "persistentVolumeClaim", "secret"}
    for each in [*spec["initContainers"], *spec["containers"]]:
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert set(each["resources"]["limits"]) >= {"cpu", "memory"}
        assert all("hostPort" not in port for port in each.get("ports", []))


def test_the_key_and_the_transcript_are_the_sidecars_alone() -> None:
    found = built()
    mounts = {mount["mountPath"] for mount in container(found, "workspace")["volumeMounts"]}
    assert mounts == {"/run/codesession", "/workspace"}


def test_one_user_for_both_containers() -> None:
    found = built(runAsUser=4711)["spec"]
    context = found["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (4711, 4711, 4711)
    for each in [*found["initContainers"], *found["containers"]]:
        assert "runAsUser" not in each["securityContext"]


def test_the_shell_is_the_launchers_argument() -> None:
    shell = ["/bin/bash", "-l", "--", "-x"]
    assert container(built(shell=shell), "workspace")["command"] == ["/run/codesession/launcher", "--", *shell]


def test_variables_of_the_session_cannot_take_the_ids_place() -> None:
    variables = [{"name": "LANG", "value": "de"}, {"name": "CODESESSIONS_SESSION_ID", "value": "x"}, {"name": "A"}]
    found = env(built(env=variables))
    assert (found["LANG"], found["A"], found["CODESESSIONS_SESSION_ID"]) == ("de", "", "cs_abc123")


def test_secrets_become_variables() -> None:
    found = container(built(envFrom=[{"secretRef": {"name": "s"}}]), "workspace")
    assert found["envFrom"] == [{"secretRef": {"name": "s"}}]


@pytest.mark.parametrize(
    ("asked", "requests", "limits"),
    [
        ({}, {"cpu": "25m", "memory": "64Mi"}, {"cpu": "1", "memory": "1Gi"}),
        ({"limits": {"memory": "32Mi"}}, {"cpu": "25m"}, {"cpu": "1", "memory": "32Mi"}),
        ({"requests": {"cpu": 1}}, {"cpu": 1, "memory": "64Mi"}, {"cpu": "1", "memory": "1Gi"}),
        (
            {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "2Gi"}},
            {"cpu": "1"},
            {"cpu": "2", "memory": "2Gi"},
        ),
        (
            {"limits": {"example.com/gpu": 1}},
            {"cpu": "25m", "memory": "64Mi"},
            {"cpu": "1", "memory": "1Gi", "example.com/gpu": 1},
        ),
    ],
)
def test_resources(asked: dict[str, Any], requests: dict[str, Any], limits: dict[str, Any]) -> None:
    """A default request never exceeds a limit that was asked for: without a request Kubernetes takes the limit."""
    assert container(built(resources=asked), "workspace")["resources"] == {
        "requests": {"ephemeral-storage": 0, **requests},
        "limits": {"ephemeral-storage": "4Gi", **limits},
    }


def test_disk_outside_the_volume_is_limited_but_not_claimed() -> None:
    """Without a request of its own Kubernetes takes the limit, and nodes would be full of what nobody uses."""
    resources = container(built(), "workspace")["resources"]
    assert (resources["requests"]["ephemeral-storage"], resources["limits"]["ephemeral-storage"]) == (0, "4Gi")
    resources = container(built(resources={"limits": {"ephemeral-storage": "9Gi"}}), "workspace")["resources"]
    assert resources["limits"]["ephemeral-storage"] == "9Gi"
    assert "ephemeral-storage" not in resources["requests"]


@pytest.mark.parametrize(("asked", "size"), [({}, "1Gi"), ({"size": "20Gi"}, "20Gi")])
def test_ephemeral_storage_is_an_empty_dir_with_the_same_paths(asked: dict[str, str], size: str) -> None:
    found, kept = built(storage={"ephemeral": True, **asked}), built()
    assert {"name": "data", "emptyDir": {"sizeLimit": size}} in found["spec"]["volumes"]
    # The pod's limit is the sum of its containers', and the volume counts.
    assert container(found, "pty")["resources"]["limits"]["ephemeral-storage"] == size
    for name in ("pty", "workspace"):
        assert container(found, name)["volumeMounts"] == container(kept, name)["volumeMounts"]


def test_what_is_optional_is_passed_on() -> None:
    tolerations = [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]
    spec = built(
        runtimeClassName="gvisor",
        nodeSelector={"disk": "fast"},
        tolerations=tolerations,
        imagePullSecrets=[{"name": "mine"}],
        imagePullPolicy="Always",
        image="x:1",
    )["spec"]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"] == tolerations
    assert spec["imagePullSecrets"] == [{"name": "mine"}]
    assert (spec["containers"][0]["imagePullPolicy"], spec["containers"][0]["image"]) == ("Always", "x:1")
    assert spec["initContainers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_what_a_session_leaves_open_comes_from_the_settings() -> None:
    settings = replace(SETTINGS, runtime_class="kata", image_pull_secrets="a, b", image_pull_policy="Never")
    spec = pod(session(), replace(settings, host_users="false"))["spec"]
    assert spec["hostUsers"] is False
    assert "hostUsers" not in pod(session(), settings)["spec"]
    assert pod(session(workspace={"hostUsers": False}), settings)["spec"]["hostUsers"] is False
    assert spec["runtimeClassName"] == "kata"
    assert spec["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert spec["containers"][0]["imagePullPolicy"] == "Never"


def test_dollars_of_a_person_are_no_references_for_the_kubelet() -> None:
    shell = ["/bin/sh", "-c", "echo $$ $(HOME)"]
    found = built(shell=shell, env=[{"name": "SECRET", "value": "pa$$word"}])
    assert container(found, "workspace")["command"][-1] == "echo $$$$ $$(HOME)"
    assert env(found)["SECRET"] == "pa$$$$word"
