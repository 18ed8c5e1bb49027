from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from codesessions_crds.app import Revision
from codesessions_operator.apps import objects
from codesessions_operator.apps.objects import Application
from support.deploys import IMAGE, SETTINGS, application, revision
from support.podsecurity import violations

FIRST = Revision.model_validate(revision(1))


def made(**spec: Any) -> dict[str, Any]:
    return objects.deployment(application(**spec), FIRST, SETTINGS, "IfNotPresent")


def test_the_deployment_to_the_letter() -> None:
    labels = {
        "app.kubernetes.io/name": "codesessions-app",
        "app.kubernetes.io/managed-by": "codesessions-operator",
        "codesessions.dev/app": "app-abc",
    }
    assert made() == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "app-abc",
            "namespace": "demo",
            "labels": labels,
            "annotations": {"codesessions.dev/revision": "1"},
            "ownerReferences": [
                {
                    "apiVersion": "codesessions.dev/v1alpha1",
                    "kind": "App",
                    "name": "app-abc",
                    "uid": "uid-app",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": 300,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {
                "matchLabels": {"codesessions.dev/app": "app-abc", "app.kubernetes.io/name": "codesessions-app"}
            },
            "template": {
                "metadata": {"labels": {**labels, "codesessions.dev/revision": "1"}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 35,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 1000,
                        "runAsGroup": 1000,
                        "fsGroup": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "app",
                            "image": IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "env": [
                                {"name": "PORT", "value": "8080"},
                                {"name": "CODESESSIONS_REVISION", "value": "1"},
                            ],
                            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                            "readinessProbe": {
                                "tcpSocket": {"port": "http"},
                                "periodSeconds": 1,
                                "timeoutSeconds": 2,
                                "failureThreshold": 3,
                            },
                            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                            "resources": {
                                "requests": {"cpu": "25m", "memory": "64Mi"},
                                "limits": {"cpu": "1", "memory": "512Mi"},
                            },
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        }
                    ],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def test_the_pod_is_restricted() -> None:
    assert violations(made()["spec"]["template"]["spec"]) == []


def test_what_an_app_says_is_what_its_pods_are() -> None:
    found = made(
        sessionName="cs-abc",
        port=3000,
        env=[{"name": "A", "value": "b$(C)"}, {"name": "PORT", "value": "1"}],
        envFrom=[{"secretRef": {"name": "s"}}],
        resources={"limits": {"memory": "1Gi"}},
        readiness={"path": "/ready", "initialDelaySeconds": 5},
        replicas=3,
        imagePullSecrets=[{"name": "p"}],
    )
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert (env["A"], env["PORT"], found["spec"]["replicas"]) == ("b$$(C)", "3000", 3)
    assert container["envFrom"] == [{"secretRef": {"name": "s"}}]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    assert "memory" not in container["resources"]["requests"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}
    assert container["readinessProbe"]["initialDelaySeconds"] == 5
    assert pod["imagePullSecrets"] == [{"name": "p"}]


def test_the_service_selects_its_pods_alone() -> None:
    spec = objects.service(application())["spec"]
    labels = made()["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"].items() <= labels.items()
    assert spec["selector"]["codesessions.dev/app"] == "app-abc"
    assert spec["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]


def test_an_ingress() -> None:
    found = objects.route(application(), SETTINGS)
    assert found is not None
    assert found["kind"] == "Ingress"
    assert found["spec"] == {
        "ingressClassName": "contour",
        "tls": [{"hosts": ["abc-demo.apps.test"], "secretName": "app-abc-tls"}],
        "rules": [
            {
                "host": "abc-demo.apps.test",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "app-abc", "port": {"name": "http"}}},
                        }
                    ]
                },
            }
        ],
    }


def test_an_http_route() -> None:
    settings = replace(SETTINGS, apps_route="httproute", apps_gateway="infra/main", apps_annotations='{"a": "b"}')
    found = objects.route(application(), settings)
    assert found is not None
    assert (found["kind"], found["metadata"]["annotations"]) == ("HTTPRoute", {"a": "b"})
    assert found["spec"] == {
        "parentRefs": [{"namespace": "infra", "name": "main"}],
        "hostnames": ["abc-demo.apps.test"],
        "rules": [{"backendRefs": [{"name": "app-abc", "port": 80}]}],
    }


@pytest.mark.parametrize("settings", [replace(SETTINGS, apps_domain=""), replace(SETTINGS, apps_route="none")])
def test_without_a_domain_or_a_way_there_is_no_route(settings: Any) -> None:
    assert objects.route(application(), settings) is None


def test_no_two_apps_share_a_host_and_no_label_is_too_long() -> None:
    spec = application().spec
    apps = [
        Application(namespace, f"app-{word}", "u", spec)
        for namespace in ("a", "b", "n" * 63, "n" * 62 + "m")
        for word in ("x", "y", "w" * 40)
    ]
    hosts = [objects.host_of(app, SETTINGS) or "" for app in apps]
    assert len(set(hosts)) == len(apps)
    assert all(len(host.split(".")[0]) <= 63 for host in hosts)


def test_a_host_of_ones_own_is_only_taken_where_that_is_allowed() -> None:
    app = application(sessionName="cs-abc", host="shop.example.com")
    assert objects.host_of(app, SETTINGS) == "abc-demo.apps.test"
    assert objects.host_of(app, replace(SETTINGS, apps_custom_hosts="true")) == "shop.example.com"
