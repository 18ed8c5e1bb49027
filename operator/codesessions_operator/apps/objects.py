"""What an App wants in the cluster: Deployment, Service and Ingress or HTTPRoute. Pure.

The pod passes Pod Security *restricted* (Kubernetes: Pod Security Standards).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from codesessions_crds.app import AppSpec, Revision
from codesessions_crds.names import (
    API_VERSION,
    APP_LABEL,
    GROUP,
    MANAGED_BY_LABEL,
    OPERATOR_MANAGER,
)

from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.literal import literal_env
from codesessions_operator.settings import names_of, words_of

Object = dict[str, Any]

CONTAINER = "app"
PORT_NAME = "http"
REVISION_LABEL = f"{GROUP}/revision"
NAME_LABEL, APPLICATION = "app.kubernetes.io/name", "codesessions-app"
DRAIN_SECONDS = 5
"""How long a pod that leaves goes on serving: proxies learn of it meanwhile."""
GRACE_SECONDS = 35
USER = 1000


@dataclass(frozen=True)
class Application:
    """What the builders need to know of an App."""

    namespace: str
    name: str
    uid: str
    spec: AppSpec


def host_of(app: Application, settings: AppSettings) -> str | None:
    """The App's host name: its own, or `abc123-<namespace>.<domain>`, which no two Apps share; None without a domain.

    A label has at most 63 characters (RFC 1035): of a longer one the end is a digest.
    """
    if app.spec.host and settings.apps_custom_hosts == "true":
        return app.spec.host
    if not settings.apps_domain:
        return None
    label = f"{app.name.removeprefix('app-')}-{app.namespace}"
    if len(label) > 63:
        digest = hashlib.sha256(label.encode()).hexdigest()[:10]
        label = f"{label[:52].rstrip('-')}-{digest}"
    return f"{label}.{settings.apps_domain}"


def url_of(host: str | None, settings: AppSettings) -> str | None:
    """Where people reach it."""
    return settings.apps_url.replace("{host}", host) if host else None


def owner(app: Application) -> Object:
    """Children are deleted with their App (Kubernetes: garbage collection)."""
    return {
        "apiVersion": API_VERSION,
        "kind": "App",
        "name": app.name,
        "uid": app.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def labels(name: str) -> dict[str, str]:
    """Labels of whatever belongs to an App."""
    return {NAME_LABEL: APPLICATION, MANAGED_BY_LABEL: OPERATOR_MANAGER, APP_LABEL: name}


def _metadata(app: Application) -> Object:
    return {
        "name": app.name,
        "namespace": app.namespace,
        "labels": labels(app.name),
        "ownerReferences": [owner(app)],
    }


def deployment(app: Application, revision: Revision, settings: AppSettings, pull_policy: str) -> Object:
    """The pods of one revision; the one before goes on until they are available."""
    spec, selector = app.spec, {APP_LABEL: app.name, NAME_LABEL: APPLICATION}
    pod: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(app, revision, settings, pull_policy)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    secrets = [{"name": name} for name in names_of(settings.apps_pull_secrets)]
    secrets += [secret.to_dict() for secret in spec.image_pull_secrets or ()]
    if secrets:
        pod["imagePullSecrets"] = secrets
    if settings.apps_runtime_class:
        pod["runtimeClassName"] = settings.apps_runtime_class
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**_metadata(app), "annotations": {REVISION_LABEL: str(revision.number)}},
        "spec": {
            "replicas": spec.replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": spec.rollout_timeout_seconds,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": {**labels(app.name), REVISION_LABEL: str(revision.number)}},
                "spec": pod,
            },
        },
    }


def _container(app: Application, revision: Revision, settings: AppSettings, pull_policy: str) -> Object:
    spec = app.spec
    requests: dict[str, str | int] = {"cpu": settings.apps_cpu_request, "memory": settings.apps_memory_request}
    limits: dict[str, str | int] = {"cpu": settings.apps_cpu_limit, "memory": settings.apps_memory_limit}
    if spec.resources is not None:
        if spec.resources.limits:
            limits |= spec.resources.limits
            requests = {name: value for name, value in requests.items() if name not in spec.resources.limits}
        requests |= spec.resources.requests or {}
    env = {each.name: each.value for each in spec.env or ()}
    env |= {"PORT": str(spec.port), "CODESESSIONS_REVISION": str(revision.number)}
    path = spec.readiness.path if spec.readiness is not None else None
    probe: Object = {"httpGet": {"path": path, "port": PORT_NAME}} if path else {"tcpSocket": {"port": PORT_NAME}}
    probe |= {"periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 3}
    if spec.readiness is not None and spec.readiness.initial_delay_seconds:
        probe["initialDelaySeconds"] = spec.readiness.initial_delay_seconds
    found: Object = {
        "name": CONTAINER,
        "image": revision.image,
        "imagePullPolicy": pull_policy,
        "env": literal_env(env),
        "ports": [{"name": PORT_NAME, "containerPort": spec.port, "protocol": "TCP"}],
        "readinessProbe": probe,
        # Proxies forget the pod while it still answers, so that no request is lost.
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": requests, "limits": limits},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    if spec.env_from:
        found["envFrom"] = [source.to_dict() for source in spec.env_from]
    return found


def service(app: Application) -> Object:
    """The App's pods at one address."""
    ports = [{"name": PORT_NAME, "port": 80, "targetPort": PORT_NAME, "protocol": "TCP"}]
    selector = {APP_LABEL: app.name, NAME_LABEL: APPLICATION}
    spec = {"type": "ClusterIP", "selector": selector, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(app), "spec": spec}


def route(app: Application, settings: AppSettings) -> Object | None:
    """The way in, by host name; None without one."""
    host = host_of(app, settings)
    if host is None or settings.apps_route == "none":
        return None
    metadata = _metadata(app)
    annotations = words_of(settings.apps_annotations)
    if annotations:
        metadata["annotations"] = annotations
    return (
        _http_route(app, host, metadata, settings)
        if settings.apps_route == "httproute"
        else _ingress(app, host, metadata, settings)
    )


def _ingress(app: Application, host: str, metadata: Object, settings: AppSettings) -> Object:
    backend = {"service": {"name": app.name, "port": {"name": PORT_NAME}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: Object = {"rules": [{"host": host, "http": {"paths": [path]}}]}
    if settings.apps_ingress_class:
        spec["ingressClassName"] = settings.apps_ingress_class
    if settings.apps_tls == "true":
        secret = settings.apps_tls_secret.replace("{app}", app.name)
        spec["tls"] = [{"hosts": [host], **({"secretName": secret} if secret else {})}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def _http_route(app: Application, host: str, metadata: Object, settings: AppSettings) -> Object:
    namespace, _, name = settings.apps_gateway.partition("/")
    spec = {
        "parentRefs": [{"namespace": namespace, "name": name}],
        "hostnames": [host],
        "rules": [{"backendRefs": [{"name": app.name, "port": 80}]}],
    }
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}
