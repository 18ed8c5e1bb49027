"""What the API server can refuse, as exceptions that carry its words (Kubernetes API: Status)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """Any refusal: `status` is the HTTP status (0: no answer), `reason` the API server's CamelCase word."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", details: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.details = dict(details or {})


class NotFoundError(KubeError):
    """404: there is no such object, or no such kind."""


class ConflictError(KubeError):
    """409: it exists already, or somebody else changed or owns it."""


class ForbiddenError(KubeError):
    """403: RBAC, an admission plugin or a quota says no."""

    @property
    def is_quota(self) -> bool:
        """Whether a ResourceQuota refused it."""
        return "exceeded quota" in self.message


class InvalidError(KubeError):
    """400 or 422: the object is not valid; the message names the field."""


class GoneError(KubeError):
    """410: the resource version is too old to watch from; list again."""


class UnavailableError(KubeError):
    """The API server does not answer, is overloaded, or failed; the same call may succeed later."""


def error_of(status: int, body: Mapping[str, Any]) -> KubeError:
    """The exception for an answer of the API server."""
    message = str(body.get("message") or f"HTTP {status}")
    kinds: dict[int, type[KubeError]] = {
        400: InvalidError,
        403: ForbiddenError,
        404: NotFoundError,
        409: ConflictError,
        410: GoneError,
        422: InvalidError,
        429: UnavailableError,
    }
    kind = UnavailableError if status >= 500 else kinds.get(status, KubeError)
    return kind(message, status=status, reason=str(body.get("reason") or ""), details=body.get("details"))
