"""The build pod: what the engine wants, with what no engine may change. Pure."""

from __future__ import annotations

from typing import Any

from codesessions_crds.names import API_VERSION, APP_LABEL, BUILD_LABEL, MANAGED_BY_LABEL, OPERATOR_MANAGER

from codesessions_operator.builds.engine import BuildRequest, BuildSettings, Engine

Object = dict[str, Any]
NAME_LABEL, APPLICATION = "app.kubernetes.io/name", "codesessions-build"
CONTAINER = "build"


def build_pod(engine: Engine, request: BuildRequest, settings: BuildSettings, uid: str) -> Object:
    """The pod of a build; `uid` is the Build's, which owns it."""
    spec = engine.pod_spec(request, settings)
    spec |= {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": request.deadline_seconds,
        "terminationGracePeriodSeconds": 2,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    if settings.image_pull_secrets:
        spec.setdefault("imagePullSecrets", [{"name": name} for name in settings.image_pull_secrets])
    if settings.runtime_class:
        spec.setdefault("runtimeClassName", settings.runtime_class)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Build",
        "name": request.build,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {
        NAME_LABEL: APPLICATION,
        MANAGED_BY_LABEL: OPERATOR_MANAGER,
        APP_LABEL: request.app,
        BUILD_LABEL: request.build,
    }
    metadata = {"name": request.build, "namespace": request.namespace, "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
