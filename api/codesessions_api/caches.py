"""What API and gateway know of the cluster without asking: sessions, keys, and which namespace is an organisation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from codesessions_crds.names import ORGANIZATION_LABEL
from codesessions_kube.client import KubeClient
from codesessions_kube.kinds import API_KEY, CODE_SESSION, NAMESPACE
from codesessions_kube.store import Object
from codesessions_kube.watchcache import WatchCache


def _hash_of(item: Object) -> Iterable[str]:
    found = (item.get("spec") or {}).get("hash")
    return (found,) if isinstance(found, str) else ()


class Caches:
    """Three watch caches that are started and stopped together."""

    def __init__(self, client: KubeClient) -> None:
        self.sessions = WatchCache(client, CODE_SESSION)
        self.keys = WatchCache(client, API_KEY, index=_hash_of)
        self.namespaces = WatchCache(client, NAMESPACE, selector=ORGANIZATION_LABEL)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def _all(self) -> tuple[WatchCache, WatchCache, WatchCache]:
        return self.sessions, self.keys, self.namespaces

    @property
    def synced(self) -> bool:
        """Whether all have been filled once."""
        return all(cache.synced.is_set() for cache in self._all)

    def start(self) -> None:
        """Begin to fill them."""
        self._tasks = [asyncio.create_task(cache.run()) for cache in self._all]

    async def stop(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def organization(self, namespace: str) -> str | None:
        """The id of the organisation that a namespace is, or None if it is none."""
        found = self.namespaces.get("", namespace)
        label = ((found or {}).get("metadata", {}).get("labels") or {}).get(ORGANIZATION_LABEL)
        return label if isinstance(label, str) and label else None
