"""Takes out of the registry what no App and no Build refers to any more.

Level-based: what is there is compared with what is needed, so that nothing is left behind by an operator that was away
when something was deleted. The disk comes back with the registry's own garbage collection.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable
from typing import Any

from codesessions_crds.names import APP_NAME_PATTERN, BUILD_NAME_PATTERN
from codesessions_kube.store import ObjectStore
from codesessions_oci.errors import NotFoundError, RefusedError
from codesessions_oci.registry import Registry

Object = dict[str, Any]
SHARED = ("sources", "logs")
_log = logging.getLogger(__name__)


def needed(apps: Iterable[Object], builds: Iterable[Object]) -> set[str]:
    """Digests that Apps and Builds of a namespace refer to."""
    found: set[str] = set()
    for app in apps:
        found.add(str((app.get("spec") or {}).get("source")))
        for revision in (app.get("status") or {}).get("revisions") or ():
            found |= {_digest_of(revision.get("image")), str(revision.get("sourceDigest"))}
    for build in builds:
        status = build.get("status") or {}
        if status.get("pruned"):
            continue
        found |= {str(status.get(name)) for name in ("sourceDigest", "logDigest")}
        found |= {_digest_of(status.get("image")), str((build.get("spec") or {}).get("sourceDigest"))}
    return found


def _digest_of(image: object) -> str:
    return str(image).rpartition("@")[2]


class Janitor:
    """Sweeps one namespace, or all of them."""

    def __init__(self, registry: Registry, apps: ObjectStore, builds: ObjectStore) -> None:
        self._registry, self._apps, self._builds = registry, apps, builds

    async def namespaces(self) -> set[str]:
        """Namespaces that have something in the registry. Raises RegistryError."""
        found = set()
        for repository in await self._registry.repositories():
            parts = self._parts(repository)
            if parts is not None:
                found.add(parts[0])
        return found

    async def sweep(self, namespace: str) -> int:
        """Delete what is not needed of a namespace; returns how many manifests. Raises RegistryError."""
        gone = 0
        repositories = [
            name for name in await self._registry.repositories() if (self._parts(name) or ("",))[0] == namespace
        ]
        for repository in repositories:
            holding: set[str] = set()
            for tag in await self._registry.tags(repository):
                if self._is_kept(namespace, (self._parts(repository) or ("", ""))[1], tag):
                    continue
                gone += await self._delete(namespace, repository, tag, holding)
        if gone:
            _log.info("%s: %d manifests deleted from the registry", namespace, gone)
        return gone

    def _parts(self, repository: str) -> tuple[str, str] | None:
        """Namespace and name of a repository of ours."""
        prefix = self._registry.settings.prefix
        if prefix and not repository.startswith(prefix + "/"):
            return None
        parts = repository.removeprefix(prefix).strip("/").split("/")
        if len(parts) != 2 or not (parts[1] in SHARED or re.fullmatch(APP_NAME_PATTERN, parts[1])):
            return None
        return parts[0], parts[1]

    def _is_kept(self, namespace: str, name: str, tag: str) -> bool:
        if name not in SHARED and self._apps.get(namespace, name) is None:
            return False
        build = self._builds.get(namespace, tag)
        if re.fullmatch(BUILD_NAME_PATTERN, tag) is None:
            return True
        return build is not None and not (build.get("status") or {}).get("pruned")

    async def _delete(self, namespace: str, repository: str, tag: str, holding: set[str]) -> int:
        try:
            digest = (await self._registry.get_manifest(repository, tag)).digest
        except NotFoundError:
            return 0
        if digest not in needed(self._apps.items(namespace), self._builds.items(namespace)):
            await self._registry.delete_with_referrers(repository, digest)
            return 1
        if digest in holding:
            with contextlib.suppress(RefusedError):  # not every registry deletes tags
                await self._registry.delete_manifest(repository, tag)
        # One stays: a manifest without a tag is garbage to many registries, and would never be found here again.
        holding.add(digest)
        return 0
