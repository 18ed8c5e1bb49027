"""MemoryKube whose watches see what is written, as those of an API server do."""
# ruff: noqa: ARG002 - the signatures are the protocol's

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

from codesessions_crds.credentials import NewKey, new_api_key
from codesessions_crds.names import ORGANIZATION_LABEL
from codesessions_kube.errors import UnavailableError
from codesessions_kube.kinds import API_KEY, CODE_SESSION, NAMESPACE, Kind

from support.kube import MemoryKube, Object

CREATED = "2025-02-01T14:25:01Z"


class LiveKube(MemoryKube):
    """Objects in memory, with watches by kind, merge patches, and an API server that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self._watchers: dict[str, set[asyncio.Queue[Object | Exception]]] = {}
        self.away = False

    def _check(self, verb: str, kind: Kind) -> None:
        if self.away:
            raise UnavailableError("the API server does not answer")
        super()._check(verb, kind)

    async def alive(self) -> bool:
        return not self.away

    def go_away(self) -> None:
        """Answer nothing more, and break all watches."""
        self.away = True
        for queues in self._watchers.values():
            for queue in queues:
                queue.put_nowait(UnavailableError("reset by peer"))

    def _tell(self, kind: str, event: str, item: Object) -> None:
        for queue in self._watchers.get(kind, ()):
            queue.put_nowait({"type": event, "object": copy.deepcopy(item)})

    def _store(self, verb: str, kind: Kind, namespace: str | None, body: Object) -> Object:
        body["metadata"].setdefault("creationTimestamp", CREATED)
        found = super()._store(verb, kind, namespace, body)
        self._tell(kind.kind, "MODIFIED", found)
        return found

    async def patch(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        self._check("patch", kind)
        return self._store("patch", kind, namespace, merge(await self.get(kind, namespace, name), body))

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        found = await self.get(kind, namespace, name)
        await super().delete(kind, namespace, name, uid=uid, grace_seconds=grace_seconds)
        found["metadata"]["resourceVersion"] = self.next_version()
        self._tell(kind.kind, "DELETED", found)

    async def watch(self, kind: Kind, version: str, *, selector: str = "", seconds: int = 300) -> AsyncIterator[Object]:
        self._check("watch", kind)
        queue: asyncio.Queue[Object | Exception] = asyncio.Queue()
        self._watchers.setdefault(kind.kind, set()).add(queue)
        try:
            yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}
            while True:
                event = await queue.get()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self._watchers[kind.kind].discard(queue)

    # -- what tests put there

    async def add_organization(self, namespace: str) -> None:
        labels = {ORGANIZATION_LABEL: f"org_{namespace}"}
        await self.create(NAMESPACE, None, {"metadata": {"name": namespace, "labels": labels}}, manager="t")

    async def add_key(self, namespace: str = "demo", *scopes: str, **spec: Any) -> NewKey:
        """An API key; without scopes, one with all."""
        key = new_api_key()
        wanted = [f"code-sessions:{each}" for each in scopes or ("read", "write", "deploy")]
        body = {"metadata": {"name": f"csk-{key.id}"}, "spec": {"hash": key.hash, "scopes": wanted, "userId": "u1"}}
        body["spec"] |= spec
        await self.create(API_KEY, namespace, body, manager="t")
        return key

    async def add_session(
        self, name: str = "cs-abc123", phase: str = "Running", ip: str | None = None, *, namespace: str = "demo"
    ) -> Object:
        status: Object = {"conditions": [{"type": "Ready", "status": "True", "reason": phase, "message": "So it is."}]}
        status |= {"phase": phase, "pod": {"ip": ip} if ip else {}, "ptyEndpoint": f"https://pty.test/{name}"}
        if phase != "Creating":
            status["startedAt"] = CREATED
        spec = {"projectName": "p", "projectDescription": "d", "userId": "u1", "state": "Running"}
        return await self.create(
            CODE_SESSION, namespace, {"metadata": {"name": name}, "spec": spec, "status": status}, manager="t"
        )

    async def set_status(self, name: str = "cs-abc123", *, namespace: str = "demo", **status: Any) -> Object:
        return await self.patch(CODE_SESSION, namespace, name, {"status": status}, manager="t")


def merge(target: Object, patch: Object) -> Object:
    """JSON merge patch (RFC 7386), for objects."""
    found = dict(target)
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = merge(found[name], value)
        else:
            found[name] = copy.deepcopy(value)
    return found
