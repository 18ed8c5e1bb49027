"""A KubeClient that keeps objects in memory, for tests of what is built on one. It knows nothing of schemas."""
# ruff: noqa: ARG002 - the signatures are the protocol's

from __future__ import annotations

import asyncio
import builtins
import copy
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from codesessions_kube.errors import ConflictError, KubeError, NotFoundError
from codesessions_kube.kinds import POD, Kind

Object = dict[str, Any]


class MemoryKube:
    """Objects by kind and key, the calls that were made, and refusals to come."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.writes: list[tuple[str, str, str]] = []
        """Verb, kind and name of each write that was taken."""
        self.refuse: dict[tuple[str, str], deque[KubeError]] = {}
        """By verb and kind: what is raised next."""
        self.feed: asyncio.Queue[Object | Exception | None] = asyncio.Queue()
        """What watches get: events; an exception is raised; None ends the watch."""
        self.watched: list[str] = []
        """The resource versions that watches began at."""
        self.listed = 0
        self.logs: dict[tuple[str, str, str], builtins.list[bytes]] = {}
        """Blocks of the logs of containers, by namespace, pod and container."""
        self.silent = False
        """Whether reading an object gets no answer at all."""
        self._version = 100
        self._uid = 0

    def will_refuse(self, verb: str, kind: Kind, *errors: KubeError) -> None:
        self.refuse.setdefault((verb, kind.kind), deque()).extend(errors)

    def _check(self, verb: str, kind: Kind) -> None:
        waiting = self.refuse.get((verb, kind.kind))
        if waiting:
            raise waiting.popleft()

    def next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _store(self, verb: str, kind: Kind, namespace: str | None, body: Object) -> Object:
        body = copy.deepcopy(body)
        metadata = body["metadata"]
        metadata["resourceVersion"] = self.next_version()
        metadata.setdefault("namespace", namespace or "")
        if "uid" not in metadata:
            self._uid += 1
            metadata["uid"] = f"uid-{self._uid}"
        self.objects[kind.kind, namespace or "", metadata["name"]] = body
        self.writes.append((verb, kind.kind, metadata["name"]))
        return copy.deepcopy(body)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        self._check("get", kind)
        if self.silent:
            await asyncio.Event().wait()
        found = self.objects.get((kind.kind, namespace or "", name))
        if found is None:
            raise NotFoundError(f"{kind.kind} {name} not found", status=404)
        return copy.deepcopy(found)

    async def alive(self) -> bool:
        return True

    async def list(self, kind: Kind, namespace: str | None = None, *, selector: str = "") -> tuple[list[Object], str]:
        self.listed += 1
        self._check("list", kind)
        items = [copy.deepcopy(each) for (name, _, _), each in self.objects.items() if name == kind.kind]
        return items, str(self._version)

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, selector: str = ""
    ) -> AsyncIterator[tuple[builtins.list[Object], str]]:
        """One object a page."""
        items, version = await self.list(kind, namespace)
        for page in [[item] for item in items] or [[]]:
            yield page, version

    async def watch(self, kind: Kind, version: str, *, selector: str = "", seconds: int = 300) -> AsyncIterator[Object]:
        self._check("watch", kind)
        self.watched.append(version)
        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}
        while (event := await self.feed.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def log(
        self, namespace: str, pod: str, container: str, *, follow: bool = False, previous: bool = False, lines: int = 0
    ) -> AsyncIterator[bytes]:
        self._check("log", POD)
        found = self.logs.get((namespace, pod, container))
        if found is None:
            raise NotFoundError(f"pods {pod} not found", status=404)
        for block in found:
            yield block

    async def create(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        self._check("create", kind)
        if (kind.kind, namespace or "", body["metadata"]["name"]) in self.objects:
            raise ConflictError(f"{kind.kind} {body['metadata']['name']} already exists", status=409)
        return self._store("create", kind, namespace, body)

    async def apply(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        self._check("apply", kind)
        return self._store("apply", kind, namespace, body)

    async def apply_status(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        self._check("apply_status", kind)
        found = await self.get(kind, namespace, body["metadata"]["name"])
        return self._store("apply_status", kind, namespace, {**found, "status": body["status"]})

    async def patch(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        self._check("patch", kind)
        return self._store("patch", kind, namespace, {**await self.get(kind, namespace, name), **body})

    async def replace(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        self._check("replace", kind)
        found = await self.get(kind, namespace, name)
        if body["metadata"].get("resourceVersion") not in {None, found["metadata"]["resourceVersion"]}:
            raise ConflictError("the object has been modified", status=409)
        return self._store("replace", kind, namespace, body)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        self._check("delete", kind)
        found = await self.get(kind, namespace, name)
        if uid not in {None, found["metadata"]["uid"]}:
            raise ConflictError("the UID in the precondition does not match", status=409)
        del self.objects[kind.kind, namespace or "", name]
        self.writes.append(("delete", kind.kind, name))
