"""Apps, Builds, Deployments and pods, as the unit tests of the operator need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from codesessions_crds.app import AppSpec, AppStatus
from codesessions_crds.build import BuildSpec, BuildStatus
from codesessions_operator.apps.objects import Application
from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.builds.order import BuildRecord
from codesessions_operator.clock import render

Object = dict[str, Any]
NOW = datetime(2027, 1, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = AppSettings(apps_domain="apps.test", apps_tls_secret="{app}-tls", apps_ingress_class="contour")
DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry:5000/demo/app-abc@{DIGEST}"


def at(seconds: float) -> str:
    """A moment, in seconds from NOW."""
    return render(NOW + timedelta(seconds=seconds))


def application(**spec: Any) -> Application:
    return Application("demo", "app-abc", "uid-app", AppSpec.model_validate(spec or {"sessionName": "cs-abc"}))


def revision(number: int, **more: Any) -> Object:
    return {"number": number, "image": IMAGE, "createdAt": at(0), **more}


def app_status(**status: Any) -> AppStatus:
    return AppStatus.model_validate(status)


def build(name: str = "bld-one", *, created: float = 0, spec: Object | None = None, **status: Any) -> BuildRecord:
    wanted = {"appName": "app-abc", "sessionName": "cs-abc", **(spec or {})}
    return BuildRecord(
        namespace="demo",
        name=name,
        uid=f"uid-{name}",
        created=NOW + timedelta(seconds=created),
        generation=1,
        spec=BuildSpec.model_validate(wanted),
        status=BuildStatus.model_validate(status),
    )


def deployment(number: int, *, ready: bool = True, replicas: int = 1, **status: Any) -> Object:
    counts = {"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas if ready else 0}
    owner = {"uid": "uid-app", "controller": True}
    metadata = {"name": "app-abc", "namespace": "demo", "generation": 3, "ownerReferences": [owner]}
    metadata["annotations"] = {"codesessions.dev/revision": str(number)}
    return {"metadata": metadata, "status": {"observedGeneration": 3, **counts, **status}}


def app_pod(number: int, container: Object | None = None, *, made: float = 0, **status: Any) -> Object:
    """A pod of a revision; `container`: the status of its container."""
    labels = {"codesessions.dev/app": "app-abc", "codesessions.dev/revision": str(number)}
    metadata = {"name": f"app-abc-x{number}", "namespace": "demo", "labels": labels, "creationTimestamp": at(made)}
    statuses = [{"name": "app", **container}] if container is not None else []
    return {"metadata": metadata, "status": {"containerStatuses": statuses, **status}}


def ended(code: int, message: str = "", **more: Any) -> Object:
    """The state of a container that ended."""
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message, **more}}
