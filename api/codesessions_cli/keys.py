"""API keys: the text that a caller shows, once, and the APIKey that lets it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from codesessions_crds.credentials import NewKey
from codesessions_crds.names import API_VERSION, CLI_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.kinds import API_KEY
from codesessions_kube.store import Object

from codesessions_cli.orgs import RefusedError


def manifest(
    key: NewKey,
    *,
    user: str,
    scopes: list[str],
    description: str = "",
    expires: timedelta | None = None,
    namespace: str | None = None,
    now: datetime | None = None,
) -> Object:
    """The APIKey of a key that was just made: its hash, never its text."""
    spec: Object = {"hash": key.hash, "scopes": scopes, "userId": user}
    if description:
        spec["description"] = description
    if expires is not None:
        spec["expiresAt"] = ((now or datetime.now(UTC)) + expires).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": f"csk-{key.id}", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": API_KEY.kind, "metadata": metadata, "spec": spec}


async def create(client: KubeClient, namespace: str, body: Object) -> None:
    """Write an APIKey."""
    await client.create(API_KEY, namespace, body, manager=CLI_MANAGER)


async def listing(client: KubeClient, namespace: str | None, *, now: datetime | None = None) -> list[Object]:
    """What there is to know of each key, by namespace and name; the texts are nowhere."""
    items, _ = await client.list(API_KEY, namespace)
    moment = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for item in items:
        metadata, spec = item["metadata"], item.get("spec") or {}
        found.append(
            {
                "name": metadata["name"],
                "namespace": metadata.get("namespace", ""),
                "userId": spec.get("userId", ""),
                "scopes": spec.get("scopes") or [],
                "description": spec.get("description", ""),
                "expiresAt": spec.get("expiresAt"),
                "state": _state(spec, moment),
            }
        )
    return sorted(found, key=lambda each: (each["namespace"], each["name"]))


def _state(spec: Object, moment: str) -> str:
    if spec.get("disabled"):
        return "revoked"
    expires = spec.get("expiresAt")
    return "expired" if expires and expires <= moment else "valid"


async def revoke(client: KubeClient, namespace: str | None, name: str) -> str:
    """Make a key stop working; returns its namespace, which is looked for if it was not given. Raises RefusedError."""
    if namespace is None:
        items, _ = await client.list(API_KEY, None)
        places = [item["metadata"]["namespace"] for item in items if item["metadata"]["name"] == name]
        if len(places) != 1:
            where = f"in several namespaces, use --namespace: {', '.join(sorted(places))}" if places else "nowhere"
            raise RefusedError(f"key {name} is {where}")
        namespace = places[0]
    await client.patch(API_KEY, namespace, name, {"spec": {"disabled": True}}, manager=CLI_MANAGER)
    return namespace
