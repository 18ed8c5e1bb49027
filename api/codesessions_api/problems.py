"""Refusals, in one shape everywhere: problem documents with a stable `code` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from codesessions_kube.errors import ForbiddenError, InvalidError, KubeError, UnavailableError

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the RFC's own word
    """A refusal."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})
        self.errors = errors

    def document(self, request_id: str) -> dict[str, Any]:
        """The document's members."""
        found: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
        }
        return found if self.errors is None else {**found, "errors": self.errors}


def not_found(session_id: str) -> Problem:
    """No such session, or none that this caller may know of."""
    return Problem(404, "session_not_found", f"There is no session {session_id[:64]!r}.")


def of_kube(error: KubeError) -> Problem:
    """What the Kubernetes API server refused, as a problem of ours."""
    if isinstance(error, ForbiddenError):
        if error.is_quota:
            return Problem(403, "quota_exceeded", f"The organisation's quota is used up: {error.message}")
        return Problem(403, "forbidden_by_cluster", f"The cluster refuses it: {error.message}")
    if isinstance(error, InvalidError):
        return Problem(422, "invalid", f"The cluster refuses it: {error.message}")
    if isinstance(error, UnavailableError):
        detail = "The Kubernetes API server does not answer; try again."
        return Problem(503, "kubernetes_unavailable", detail, headers={"Retry-After": "2"})
    return Problem(
        503, "kubernetes_error", f"The Kubernetes API server says: {error.message}", headers={"Retry-After": "2"}
    )
