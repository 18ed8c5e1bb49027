"""What API and gateway know of the cluster without asking: sessions, keys, and which namespace is an organisation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from codesessions_crds.names import ORGANIZATION_LABEL
from codesessions_kube.client import KubeClient
from codesessions_kube.kinds import API_KEY, CODE_SESSION, NAMESPACE
from codesessions_kube.store import Key, Object
from codesessions_kube.watchcache import WatchCache

from codesessions_api.pulse import Pulse

_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_SPEC = ("projectName", "projectDescription", "userId", "state", "ttlSecondsAfterFinished")
_STATUS = ("phase", "ptyEndpoint", "startedAt", "finishedAt", "updatedAt", "exitCode", "transcript")
_CONDITIONS = {"Ready", "Archived"}


def trim_session(item: Object) -> Object:
    """What is read of a CodeSession. The rest, environment variables above all, can be megabytes."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    kept = _only(status, _STATUS)
    kept["conditions"] = [each for each in status.get("conditions") or () if each.get("type") in _CONDITIONS]
    kept["pod"] = _only(status.get("pod") or {}, ("ip", "uid"))
    return {"metadata": _only(item["metadata"], _METADATA), "spec": _only(spec, _SPEC), "status": kept}


def trim_key(item: Object) -> Object:
    """An APIKey without labels and annotations."""
    return {"metadata": _only(item["metadata"], _METADATA), "spec": item.get("spec") or {}}


def trim_namespace(item: Object) -> Object:
    """A namespace's name and its organisation."""
    labels = _only(item["metadata"].get("labels") or {}, (ORGANIZATION_LABEL,))
    return {"metadata": {**_only(item["metadata"], _METADATA), "labels": labels}}


def _only(item: Object, names: Iterable[str]) -> Object:
    return {name: item[name] for name in names if name in item}


def _hash_of(item: Object) -> Iterable[str]:
    found = (item.get("spec") or {}).get("hash")
    return (found,) if isinstance(found, str) else ()


def _name_of(item: Object) -> Iterable[str]:
    return (item["metadata"]["name"],)


class Caches:
    """Three watch caches that are started and stopped together.

    `key_changed` and `session_changed` are told which APIKey or CodeSession has changed or gone.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        key_changed: Callable[[Key], None] = lambda _: None,
        session_changed: Callable[[Key], None] = lambda _: None,
    ) -> None:
        self.sessions = WatchCache(
            client, CODE_SESSION, index=_name_of, transform=trim_session, changed=session_changed
        )
        self.keys = WatchCache(client, API_KEY, index=_hash_of, transform=trim_key, changed=key_changed)
        self.namespaces = WatchCache(client, NAMESPACE, selector=ORGANIZATION_LABEL, transform=trim_namespace)
        self._pulse = Pulse(client)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def all(self) -> tuple[WatchCache, WatchCache, WatchCache]:
        """All of them."""
        return self.sessions, self.keys, self.namespaces

    @property
    def synced(self) -> bool:
        """Whether all have been filled once."""
        return all(cache.synced.is_set() for cache in self.all)

    def stale_seconds(self) -> dict[str, float]:
        """By kind, for how long changes may have been missed."""
        now, silent = time.monotonic(), self._pulse.silent_seconds
        return {
            each.kind.plural: silent if each.stale_since is None else max(silent, now - each.stale_since)
            for each in self.all
        }

    def start(self) -> None:
        """Begin to fill them."""
        self._tasks = [asyncio.create_task(cache.run()) for cache in self.all]
        self._tasks.append(asyncio.create_task(self._pulse.run()))

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
