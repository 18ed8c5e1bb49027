"""Apps and Builds as the REST API shows them. Pure."""

from __future__ import annotations

from typing import Any

from codesessions_crds.names import app_id, build_id, session_id
from codesessions_kube.store import Object

from codesessions_api.views import ready_of

APP_STATUSES = ("deploying", "running", "failed")
BUILD_STATUSES = ("zipping", "building", "rolling_out", "succeeded", "failed", "cancelled", "superseded")
FINISHED = frozenset({"succeeded", "failed", "cancelled", "superseded"})
_WORDS = {"RollingOut": "rolling_out"}


def app_status(resource: Object) -> str:
    """One of `APP_STATUSES`."""
    return str((resource.get("status") or {}).get("phase") or "Deploying").lower()


def build_status(resource: Object) -> str:
    """One of `BUILD_STATUSES`."""
    phase = str((resource.get("status") or {}).get("phase") or "Zipping")
    return _WORDS.get(phase, phase.lower())


def app_view(resource: Object, organization_id: str) -> dict[str, Any]:
    """All that the API says of an App."""
    metadata, spec, status = resource["metadata"], resource.get("spec") or {}, resource.get("status") or {}
    ready = ready_of(resource)
    return {
        "id": app_id(metadata["name"]),
        "sessionId": session_id(spec["sessionName"]) if spec.get("sessionName") else None,
        "organizationId": organization_id,
        "status": app_status(resource),
        "url": status.get("url"),
        "host": status.get("host"),
        "revision": status.get("revision"),
        "image": status.get("image"),
        "pinnedRevision": spec.get("revision"),
        "buildId": build_id(status["build"]) if status.get("build") else None,
        "revisions": [_revision(each) for each in status.get("revisions") or ()],
        "reason": ready.get("reason"),
        "message": ready.get("message"),
        "createdAt": metadata.get("creationTimestamp"),
        "updatedAt": status.get("updatedAt") or metadata.get("creationTimestamp"),
    }


def _revision(item: Object) -> dict[str, Any]:
    return {
        "number": item["number"],
        "image": item["image"],
        "buildId": build_id(item["build"]) if item.get("build") else None,
        "sourceDigest": item.get("sourceDigest"),
        "createdAt": item.get("createdAt"),
        "failed": bool(item.get("failed")),
    }


def build_view(resource: Object, organization_id: str) -> dict[str, Any]:
    """All that the API says of a Build: its provenance too."""
    metadata, spec, status = resource["metadata"], resource.get("spec") or {}, resource.get("status") or {}
    ready = ready_of(resource)
    phases = [
        {
            "phase": _WORDS.get(each["phase"], each["phase"].lower()),
            "startedAt": each["startedAt"],
            "finishedAt": each.get("finishedAt"),
        }
        for each in status.get("phases") or ()
    ]
    return {
        "id": build_id(metadata["name"]),
        "appId": app_id(spec.get("appName", "")),
        "sessionId": session_id(spec["sessionName"]) if spec.get("sessionName") else None,
        "organizationId": organization_id,
        "userId": spec.get("userId", ""),
        "status": build_status(resource),
        "engine": spec.get("engine", "auto"),
        "language": status.get("language"),
        "sourceDigest": status.get("sourceDigest"),
        "sourceBytes": status.get("sourceBytes"),
        "image": status.get("image"),
        "baseDigest": status.get("baseDigest"),
        "statementDigest": status.get("statementDigest"),
        "revision": status.get("revision"),
        "phases": phases,
        "reason": ready.get("reason"),
        "message": ready.get("message"),
        "createdAt": metadata.get("creationTimestamp"),
        "finishedAt": status.get("finishedAt"),
        "updatedAt": status.get("updatedAt") or metadata.get("creationTimestamp"),
    }
