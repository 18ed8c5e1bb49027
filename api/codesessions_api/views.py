"""A CodeSession as the REST API shows it. Pure."""

from __future__ import annotations

import base64
import binascii
import heapq
import re
from collections.abc import Callable
from typing import Any

from codesessions_crds.names import is_session_name, session_id, workspace_id
from codesessions_kube.store import Object

from codesessions_api.problems import bad_parameter

FINISHED = frozenset({"completed", "failed"})
STATUSES = ("creating", "running", "suspended", "completed", "failed")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def status_of(resource: Object) -> str:
    """One of `STATUSES`. What was asked to complete is completed at once, whatever the operator has seen."""
    phase = (resource.get("status") or {}).get("phase") or "Creating"
    if phase != "Failed" and (resource.get("spec") or {}).get("state") == "Completed":
        return "completed"
    return str(phase).lower()


def ready_of(resource: Object) -> Object:
    """The Ready condition, or an empty one."""
    return condition_of(resource, "Ready")


def condition_of(resource: Object, kind: str) -> Object:
    """A condition, or an empty one."""
    conditions: list[Object] = (resource.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def has_run(resource: Object) -> bool:
    """Whether its shell has ever run, so that there may be output."""
    return bool((resource.get("status") or {}).get("startedAt"))


def session_view(resource: Object, organization_id: str, pty_base_url: str = "") -> dict[str, Any]:
    """All that the API says of a session. `pty_base_url` serves until the operator has written the endpoint down."""
    metadata, spec, status = resource["metadata"], resource.get("spec") or {}, resource.get("status") or {}
    reason, message = _why(resource)
    identity = session_id(metadata["name"])
    endpoint = status.get("ptyEndpoint") or (f"{pty_base_url.rstrip('/')}/{identity}" if pty_base_url else None)
    return {
        "id": identity,
        "projectName": spec.get("projectName", ""),
        "projectDescription": spec.get("projectDescription", ""),
        "userId": spec.get("userId", ""),
        "organizationId": organization_id,
        "status": status_of(resource),
        "workspaceId": workspace_id(metadata["name"]),
        "ptyEndpoint": endpoint,
        "createdAt": metadata.get("creationTimestamp"),
        "updatedAt": status.get("updatedAt") or metadata.get("creationTimestamp"),
        "reason": reason,
        "message": message,
        "exitCode": status.get("exitCode"),
    }


def _why(resource: Object) -> tuple[str | None, str | None]:
    phase = str((resource.get("status") or {}).get("phase") or "Creating").lower()
    if status_of(resource) == "completed" and phase not in FINISHED:
        return "Stopping", "The workspace is being stopped."
    ready = ready_of(resource)
    return ready.get("reason"), ready.get("message")


def order(resource: Object) -> tuple[str, str]:
    """Newest first when reversed; ties by name."""
    return resource["metadata"].get("creationTimestamp", ""), resource["metadata"]["name"]


def make_cursor(resource: Object) -> str:
    """Where a page ended, opaque to the client."""
    return base64.urlsafe_b64encode("\n".join(order(resource)).encode()).decode().rstrip("=")


def read_cursor(text: str, is_name: Callable[[str], bool] = is_session_name) -> tuple[str, str]:
    """Where to go on. Raises Problem 422."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        created, name = raw.decode().split("\n")
    except (binascii.Error, ValueError) as error:
        raise bad_parameter("cursor", "must be nextCursor of the page before, unchanged") from error
    if not _TIME.fullmatch(created) or not is_name(name):
        raise bad_parameter("cursor", "must be nextCursor of the page before, unchanged")
    return created, name


def page_of(
    items: list[Object], limit: int, cursor: str | None, is_name: Callable[[str], bool] = is_session_name
) -> tuple[list[Object], str | None]:
    """A page, newest first, and the next page's cursor, None for the last. Raises Problem 422."""
    if cursor is not None:
        after = read_cursor(cursor, is_name)
        items = [item for item in items if order(item) < after]
    page = heapq.nlargest(limit + 1, items, key=order)
    return page[:limit], make_cursor(page[limit - 1]) if len(page) > limit else None
