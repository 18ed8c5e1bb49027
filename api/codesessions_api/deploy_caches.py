"""What the REST API knows of Apps and Builds without asking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from codesessions_kube.client import KubeClient
from codesessions_kube.kinds import APP, BUILD
from codesessions_kube.store import Object
from codesessions_kube.watchcache import WatchCache

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")


def trim(item: Object) -> Object:
    """Without labels, annotations, and what an App's environment holds."""
    metadata = {name: item["metadata"][name] for name in _METADATA if name in item["metadata"]}
    spec = {name: value for name, value in (item.get("spec") or {}).items() if name not in {"env", "envFrom"}}
    return {"metadata": metadata, "spec": spec, "status": item.get("status") or {}}


def _app_of(item: Object) -> Iterable[str]:
    return (f"{item['metadata']['namespace']}/{(item.get('spec') or {}).get('appName')}",)


class DeployCaches:
    """Two watch caches that are started and stopped together."""

    def __init__(self, client: KubeClient) -> None:
        self.apps = WatchCache(client, APP, transform=trim)
        self.builds = WatchCache(client, BUILD, index=_app_of, transform=trim)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def synced(self) -> bool:
        """Whether both have been filled once."""
        return self.apps.synced.is_set() and self.builds.synced.is_set()

    def start(self) -> None:
        """Begin to fill them."""
        self._tasks = [asyncio.create_task(cache.run()) for cache in (self.apps, self.builds)]

    async def stop(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
