"""Who calls: from the text of a key to a caller with scopes and an organisation."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from codesessions_crds.apikey import Scope
from codesessions_crds.credentials import hash_api_key
from codesessions_crds.names import ORGANIZATION_LABEL
from codesessions_kube.store import Object

from codesessions_api.caches import Caches
from codesessions_api.problems import Problem

_CHALLENGE = {"WWW-Authenticate": 'ApiKey header="X-API-Key"'}


@dataclass(frozen=True)
class Caller:
    """An API key that is good, and what it allows. `expires` is Unix time in seconds, None for never."""

    key_name: str
    user_id: str
    scopes: frozenset[str]
    namespace: str
    organization_id: str
    expires: float | None = None
    rate_limits: Object | None = None
    """As the APIKey has them."""

    def require(self, scope: Scope) -> None:
        """Raises Problem 403 without this scope."""
        if scope.value not in self.scopes:
            raise Problem(403, "missing_scope", f"This API key does not have the scope {scope.value}.")

    @property
    def terminal_scope(self) -> tuple[str, ...]:
        """What this caller may do at a terminal, in a ticket's words."""
        return ("read", "write") if Scope.WRITE.value in self.scopes else ("read",)


def authenticate(text: str | None, caches: Caches, *, now: float) -> Caller:
    """The caller behind a key at Unix time `now`.

    Raises Problem 401 for no key or a bad one, 403 if its namespace is no organisation.
    """
    if not text:
        raise Problem(401, "missing_api_key", "Send an API key in the header X-API-Key.", headers=_CHALLENGE)
    digest = hash_api_key(text)
    candidates = sorted(caches.keys.find(digest), key=_age)
    if not candidates or not hmac.compare_digest(candidates[0]["spec"]["hash"], digest):
        raise _invalid("This API key is not known.")
    return caller_of(candidates[0], caches, now=now)  # the oldest: a copy of its hash elsewhere does not take it over


def caller_of(key: Object, caches: Caches, *, now: float) -> Caller:
    """The caller that an APIKey stands for. Raises Problem as `authenticate` does."""
    spec, metadata = key["spec"], key["metadata"]
    if spec.get("disabled") or metadata.get("deletionTimestamp"):
        raise _invalid("This API key was revoked.")
    expires = _time_of(spec.get("expiresAt"))
    if expires is not None and expires <= now:
        raise _invalid("This API key has expired.")
    namespace = metadata["namespace"]
    organization = caches.organization(namespace)
    if organization is None:
        detail = f"Namespace {namespace} of this API key is no organisation: label it {ORGANIZATION_LABEL}=org_NAME."
        raise Problem(403, "organization_missing", detail)
    scopes = frozenset(spec.get("scopes") or ())
    own = spec.get("rateLimits")
    return Caller(metadata["name"], spec.get("userId", ""), scopes, namespace, organization, expires, own)


def _age(key: Object) -> tuple[str, str]:
    return key["metadata"].get("creationTimestamp", ""), key["metadata"].get("uid", "")


def _time_of(text: object) -> float | None:
    """Unix time of an RFC 3339 text; None for none. A text that is no time has always been over."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _invalid(detail: str) -> Problem:
    return Problem(401, "invalid_api_key", detail, headers=_CHALLENGE)
