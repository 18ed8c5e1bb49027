"""The log of a Build, line by line: from its pod while there is one, then from the registry. Numbered 1, 2, 3 ..."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import InvalidError, KubeError, NotFoundError
from codesessions_kube.store import Object
from codesessions_oci.descriptors import Manifest
from codesessions_oci.errors import RegistryError
from codesessions_oci.registry import Registry

from codesessions_api.deploy_caches import DeployCaches
from codesessions_api.deploy_views import FINISHED, build_status
from codesessions_api.problems import Problem, try_again
from codesessions_api.views import ready_of

LONGEST_LINE = 64 << 10
MOST = 16 << 20
POLL_SECONDS = 0.3


class BuildLogs:
    """Reads logs."""

    def __init__(self, client: KubeClient, caches: DeployCaches, registry: Registry | None) -> None:
        self._client, self._caches, self._registry = client, caches, registry

    async def check(self, build: Object) -> None:
        """Whether a log that is kept can be had. Raises Problem 503."""
        digest = self._log_digest(build)
        if digest:
            await self._manifest(build["metadata"]["namespace"], digest)

    async def lines(self, build: Object, *, follow: bool) -> AsyncIterator[str]:
        """The lines so far; with `follow` until the build has ended. Raises Problem before the first one."""
        metadata = build["metadata"]
        key = metadata["namespace"], metadata["name"]
        if follow:
            build = await self._begun(build)
        kept = self._log_digest(build)
        if kept:
            async for line in self._kept(key, kept):
                yield line
            return
        if (build.get("status") or {}).get("pruned"):
            yield "[this log is no longer kept]"
        for container in (build.get("status") or {}).get("containers") or ():
            async for line in _lines(self._live(key, container, follow=follow)):
                yield line
        if follow:
            build = await self._ended(build)
        else:
            build = self._caches.builds.get(*key) or build
        if build_status(build) in FINISHED - {"succeeded"}:
            ready = ready_of(build)
            text = f"{build['status']['phase']}: {ready.get('reason')}: {ready.get('message')}"
            for line in text.splitlines():
                yield line

    @staticmethod
    def _log_digest(build: Object) -> str:
        status = build.get("status") or {}
        return "" if status.get("pruned") else str(status.get("logDigest") or "")

    async def _begun(self, build: Object) -> Object:
        """Once there is something to read."""

        def ready(item: Object | None) -> bool:
            if item is None or build_status(item) in FINISHED:
                return True
            return bool(self._log_digest(item) or (item.get("status") or {}).get("containers"))

        return await self._wait(build, ready)

    async def _ended(self, build: Object) -> Object:
        return await self._wait(build, lambda item: item is None or build_status(item) in FINISHED)

    async def _wait(self, build: Object, ready: object) -> Object:
        metadata = build["metadata"]
        found = await self._caches.builds.wait_for(
            metadata["namespace"],
            metadata["name"],
            ready,  # type: ignore[arg-type]
            seconds=86_400,
        )
        return found or build

    async def _kept(self, key: tuple[str, str], digest: str) -> AsyncIterator[str]:
        registry, repository, manifest = await self._manifest(key[0], digest)
        try:
            blob = manifest.layers[0]
            async for line in _lines(registry.read_blob(repository, blob.digest, blob.size)):
                yield line
        except (RegistryError, ValueError, KeyError, IndexError) as error:
            raise try_again(503, "registry_unavailable", f"The log cannot be read: {error}") from error

    async def _manifest(self, namespace: str, digest: str) -> tuple[Registry, str, Manifest]:
        if self._registry is None:
            raise try_again(503, "registry_unavailable", "The log is in a registry that is not configured any more.")
        repository = self._registry.settings.repository(namespace, "logs")
        try:
            return self._registry, repository, await self._registry.get_manifest(repository, digest)
        except RegistryError as error:
            raise try_again(503, "registry_unavailable", f"The log cannot be read: {error}") from error

    async def _live(self, key: tuple[str, str], container: str, *, follow: bool) -> AsyncIterator[bytes]:
        """What a container prints; one that has not begun is waited for."""
        while True:
            try:
                async for block in self._client.log(*key, container, follow=follow):
                    yield block
            except InvalidError:  # it waits to start
                build = self._caches.builds.get(*key)
                if not follow or build is None or build_status(build) != "building":
                    return
                await asyncio.sleep(POLL_SECONDS)
                continue
            except NotFoundError:
                return
            except KubeError as error:
                raise Problem(503, "kubernetes_unavailable", error.message, headers={"Retry-After": "1"}) from error
            return


async def _lines(blocks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Blocks as lines without their ends."""
    pending, size = b"", 0
    async for block in blocks:
        size += len(block)
        if size > MOST:
            break
        *lines, pending = (pending + block).split(b"\n")
        for line in lines:
            yield _text(line)
        while len(pending) > LONGEST_LINE:
            yield _text(pending[:LONGEST_LINE])
            pending = pending[LONGEST_LINE:]
    if pending:
        yield _text(pending)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2]
