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
    """An API key that is good, and what it allows."""

    key_name: str
    user_id: str
    scopes: frozenset[str]
    namespace: str
    organization_id: str

    def require(self, scope: Scope) -> None:
        """Raises Problem 403 without this scope."""
        if scope.value not in self.scopes:
            raise Problem(403, "missing_scope", f"This API key does not have the scope {scope.value}.")


def authenticate(text: str | None, caches: Caches) -> Caller:
    """The caller behind a key. Raises Problem 401 for no key or a bad one, 403 if its namespace is no organisation."""
    if not text:
        raise Problem(401, "missing_api_key", "Send an API key in the header X-API-Key.", headers=_CHALLENGE)
    digest = hash_api_key(text)
    candidates = sorted(caches.keys.find(digest), key=_age)
    if not candidates or not hmac.compare_digest(candidates[0]["spec"]["hash"], digest):
        raise _invalid("This API key is not known.")
    key = candidates[0]  # the oldest: a copy of its hash elsewhere does not take it over
    spec, metadata = key["spec"], key["metadata"]
    if spec.get("disabled") or metadata.get("deletionTimestamp"):
        raise _invalid("This API key was revoked.")
    if _is_expired(spec.get("expiresAt")):
        raise _invalid("This API key has expired.")
    namespace = metadata["namespace"]
    organization = caches.organization(namespace)
    if organization is None:
        detail = f"Namespace {namespace} of this API key is no organisation: label it {ORGANIZATION_LABEL}=org_NAME."
        raise Problem(403, "organization_missing", detail)
    return Caller(
        metadata["name"], spec.get("userId", ""), frozenset(spec.get("scopes") or ()), namespace, organization
    )


def _age(key: Object) -> tuple[str, str]:
    return key["metadata"].get("creationTimestamp", ""), key["metadata"].get("uid", "")


def _is_expired(text: object) -> bool:
    if not text:
        return False
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return True
    return moment.replace(tzinfo=moment.tzinfo or UTC) <= datetime.now(UTC)


def _invalid(detail: str) -> Problem:
    return Problem(401, "invalid_api_key", detail, headers=_CHALLENGE)
