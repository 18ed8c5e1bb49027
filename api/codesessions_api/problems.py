"""Refusals, in one shape everywhere: problem documents with a stable `code` (RFC 9457)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from codesessions_kube.errors import ForbiddenError, InvalidError, KubeError, UnavailableError

MEDIA_TYPE = "application/problem+json"
_LONGEST_DETAIL = 2000
_log = logging.getLogger(__name__)
_QUOTA = re.compile(r"exceeded quota: ([^,]+), requested: (.*), used: (.*), limited: (.*)")
SESSION_COUNT = "count/codesessions.codesessions.dev"
_COUNTED = {SESSION_COUNT: "sessions", "count/apps.codesessions.dev": "apps"}


class Problem(Exception):  # noqa: N818 - the RFC's own word
    """A refusal. `errors` say where in a body (JSON pointer, RFC 6901) or which parameter, `limits` what is used up."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
        limits: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail[:_LONGEST_DETAIL]
        self.headers = dict(headers or {})
        self.errors, self.limits = errors, limits

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
        more = {"errors": self.errors, "limits": self.limits}
        return {**found, **{name: value for name, value in more.items() if value is not None}}


def try_again(status: int, code: str, detail: str, *, seconds: int = 1) -> Problem:
    """A refusal that may be over in `seconds` (Retry-After, RFC 9110 section 10.2.3)."""
    return Problem(status, code, detail, headers={"Retry-After": str(seconds)})


def not_found(session_id: str) -> Problem:
    """No such session, or none that this caller may know of."""
    return Problem(404, "session_not_found", f"There is no session {session_id[:64]!r}.")


def fault_of_ours() -> Problem:
    """What should not happen."""
    return Problem(500, "internal_error", "A fault of ours; it was logged under this request's id.")


def bad_parameter(name: str, detail: str) -> Problem:
    """A query parameter that cannot be."""
    return Problem(422, "invalid_parameter", f"{name} {detail}", errors=[{"pointer": name, "detail": detail}])


def of_kube(error: KubeError) -> Problem:
    """What the Kubernetes API server refused, as a problem of ours."""
    if isinstance(error, ForbiddenError):
        if "status unknown for quota" in error.message:  # one that was just made
            detail = "The cluster has not counted yet what the organisation has of its quota."
            return try_again(503, "kubernetes_unavailable", detail)
        if error.is_quota:
            return _over_quota(error.message)
        if (
            " cannot " not in error.message or "User " not in error.message
        ):  # not RBAC: admission, a namespace that goes
            return Problem(403, "forbidden_by_cluster", f"The cluster refuses it: {error.message}")
    if isinstance(error, InvalidError):
        return Problem(422, "invalid", f"The cluster refuses it: {error.message}")
    if isinstance(error, UnavailableError):
        return try_again(503, "kubernetes_unavailable", "The Kubernetes API server does not answer.", seconds=2)
    _log.error("the Kubernetes API server refuses this program: %s", error.message)
    return try_again(503, "kubernetes_error", "The cluster does not let this program do its work.", seconds=5)


def _over_quota(message: str) -> Problem:
    """A quota's refusal, in words and as `limits` (the message is that of Kubernetes' admission plugin)."""
    found = _QUOTA.search(message)
    if found is None:
        return Problem(403, "quota_exceeded", f"The organisation's quota is used up: {message}")
    requested, used, hard = (
        dict(each.split("=", 1) for each in text.split(",") if "=" in each) for text in found.groups()[1:]
    )
    limits = [
        {
            "quota": found[1],
            "resource": name,
            "requested": requested.get(name, ""),
            "used": used.get(name, ""),
            "hard": most,
        }
        for name, most in hard.items()
    ]
    told = "; ".join(
        f"{_COUNTED.get(each['resource'], each['resource'])}: {each['used']} of {each['hard']}" for each in limits
    )
    advice = "Make room, or ask who runs the cluster for more."
    if any(each["resource"] == SESSION_COUNT for each in limits):
        advice = ""  # `room` knows more
    elif any(each["resource"] == "count/apps.codesessions.dev" for each in limits):
        advice = "Delete an app, or ask who runs the cluster for more."
    detail = f"The organisation has what its quota {found[1]!r} allows: {told}. {advice}".rstrip()
    return Problem(403, "quota_exceeded", detail, limits=limits)
