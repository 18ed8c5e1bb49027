"""A CodeSession as the REST API shows it. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from codesessions_crds.names import session_id, workspace_id
from codesessions_kube.store import Object

from codesessions_api.problems import Problem


def status_of(resource: Object) -> str:
    """`creating`, `running`, `suspended`, `completed` or `failed`. What was asked to complete is completed at once."""
    phase = (resource.get("status") or {}).get("phase") or "Creating"
    if phase != "Failed" and (resource.get("spec") or {}).get("state") == "Completed":
        return "completed"
    return str(phase).lower()


def session_view(resource: Object, organization_id: str) -> dict[str, Any]:
    """All that the API says of a session."""
    metadata, spec, status = resource["metadata"], resource.get("spec") or {}, resource.get("status") or {}
    conditions: list[Object] = status.get("conditions") or []
    ready: Object = next((each for each in conditions if each.get("type") == "Ready"), {})
    return {
        "id": session_id(metadata["name"]),
        "projectName": spec.get("projectName", ""),
        "projectDescription": spec.get("projectDescription", ""),
        "userId": spec.get("userId", ""),
        "organizationId": organization_id,
        "status": status_of(resource),
        "workspaceId": workspace_id(metadata["name"]),
        "ptyEndpoint": status.get("ptyEndpoint"),
        "createdAt": metadata.get("creationTimestamp"),
        "updatedAt": status.get("updatedAt") or metadata.get("creationTimestamp"),
        "reason": ready.get("reason"),
        "message": ready.get("message"),
        "exitCode": status.get("exitCode"),
    }


def order(resource: Object) -> tuple[str, str]:
    """Newest first when reversed; ties by name."""
    return resource["metadata"].get("creationTimestamp", ""), resource["metadata"]["name"]


def make_cursor(resource: Object) -> str:
    """Where a page ended, opaque to the client."""
    return base64.urlsafe_b64encode("\n".join(order(resource)).encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[str, str]:
    """Where to go on. Raises Problem 422."""
    try:
        created, name = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("\n")
    except (binascii.Error, ValueError) as error:
        errors = [{"pointer": "cursor", "detail": "take nextCursor of the page before, unchanged"}]
        raise Problem(422, "invalid_parameter", "cursor is not one of ours", errors=errors) from error
    return created, name
