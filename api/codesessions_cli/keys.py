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
    rate_limits: Object | None = None,
    namespace: str | None = None,
    now: datetime | None = None,
) -> Object:
    """The APIKey of a key that was just made: its hash, never its text."""
    spec: Object = {"hash": key.hash, "scopes": scopes, "userId": user}
    if description:
        spec["description"] = description
    if rate_limits:
        spec["rateLimits"] = rate_limits
    if expires is not None:
        spec["expiresAt"] = _text((now or datetime.now(UTC)) + expires)
    metadata = {"name": f"csk-{key.id}", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": API_KEY.kind, "metadata": metadata, "spec": spec}


async def create(client: KubeClient, namespace: str, body: Object) -> None:
    """Write an APIKey."""
    await client.create(API_KEY, namespace, body, manager=CLI_MANAGER)


async def listing(client: KubeClient, namespace: str | None, *, now: datetime | None = None) -> list[Object]:
    """What there is to know of each key, by namespace and name; the texts are nowhere."""
    items, _ = await client.list(API_KEY, namespace)
    moment = _text(now or datetime.now(UTC))
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
                "rateLimits": spec.get("rateLimits"),
            }
        )
    return sorted(found, key=lambda each: (each["namespace"], each["name"]))


def _state(spec: Object, moment: str) -> str:
    if spec.get("disabled"):
        return "revoked"
    expires = spec.get("expiresAt")
    return "expired" if expires and expires <= moment else "valid"


async def find(client: KubeClient, namespace: str | None, name: str) -> Object:
    """A key, which is looked for everywhere if no namespace was given. Raises RefusedError if that is not enough."""
    if namespace is not None:
        return await client.get(API_KEY, namespace, name)
    items, _ = await client.list(API_KEY, None)
    found = [item for item in items if item["metadata"]["name"] == name]
    if len(found) == 1:
        return found[0]
    places = ", ".join(sorted(item["metadata"]["namespace"] for item in found))
    raise RefusedError(f"key {name} is {f'in several namespaces, use --namespace: {places}' if found else 'nowhere'}")


async def revoke(client: KubeClient, namespace: str | None, name: str) -> str:
    """Make a key stop working; returns its namespace. Raises RefusedError."""
    place: str = (await find(client, namespace, name))["metadata"]["namespace"]
    await client.patch(API_KEY, place, name, {"spec": {"disabled": True}}, manager=CLI_MANAGER)
    return place


def successor(old: Object, key: NewKey, *, expires: timedelta | None = None, now: datetime | None = None) -> Object:
    """The APIKey that takes the place of `old`: what that may, for as long as that may unless `expires` says else.

    Raises RefusedError if `old` does not work any more.
    """
    moment, spec = now or datetime.now(UTC), old["spec"]
    state = _state(spec, _text(moment))
    if state != "valid":
        raise RefusedError(f"key {old['metadata']['name']} is {state}: create a new one")
    body = manifest(
        key,
        user=spec["userId"],
        scopes=list(spec["scopes"]),
        description=spec.get("description", ""),
        expires=expires,
        rate_limits=spec.get("rateLimits"),
        now=moment,
    )
    if expires is None and spec.get("expiresAt"):
        body["spec"]["expiresAt"] = spec["expiresAt"]
    return body


async def retire(client: KubeClient, old: Object, overlap: timedelta | None, *, now: datetime | None = None) -> None:
    """Make a key stop working: at once, or after `overlap` but never later than it would have."""
    metadata, spec = old["metadata"], old["spec"]
    patch: Object = {"disabled": True}
    if overlap is not None:
        end = _text((now or datetime.now(UTC)) + overlap)
        patch = {"expiresAt": min(end, spec.get("expiresAt") or end)}
    await client.patch(API_KEY, metadata["namespace"], metadata["name"], {"spec": patch}, manager=CLI_MANAGER)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
