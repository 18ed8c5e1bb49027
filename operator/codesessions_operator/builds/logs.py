"""The log of a build, kept as an artifact when its pod ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import KubeError, UnavailableError
from codesessions_oci.registry import Registry

Object = dict[str, Any]

LOG_TYPE = "application/vnd.codesessions.log.v1"
TEXT = "text/plain"
MOST = 8 << 20
"""Bytes that are kept; of a longer log the end."""
SECONDS = 30.0


def containers_of(pod: Object) -> list[str]:
    """Names of the containers that have started, in the order they run in."""
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return [each["name"] for each in found if set(each.get("state") or {}) & {"running", "terminated"}]


async def read_log(client: KubeClient, namespace: str, pod: str, containers: Sequence[str]) -> bytes:
    """All that the containers printed. A container that has none any more is left out. Raises UnavailableError."""
    found = bytearray()
    for container in containers:
        try:
            async for block in client.log(namespace, pod, container):
                found += block
                if len(found) > 2 * MOST:
                    del found[:-MOST]
        except UnavailableError:
            raise
        except KubeError:
            continue
    if len(found) > MOST:
        cut = found.find(b"\n", len(found) - MOST) + 1
        return b"[the beginning is not kept]\n" + bytes(found[cut:])
    return bytes(found)


async def keep_log(client: KubeClient, registry: Registry, pod: Object, repository: str, note: str) -> str:
    """Store the log of a build pod, `note` after it; returns the artifact's digest.

    Raises KubeError, RegistryError or TimeoutError.
    """
    metadata = pod["metadata"]
    async with asyncio.timeout(SECONDS):
        text = await read_log(client, metadata["namespace"], metadata["name"], containers_of(pod))
        return await store_log(registry, repository, metadata["name"], text + note.encode())


async def store_log(registry: Registry, repository: str, build: str, text: bytes) -> str:
    """Store a text as the log of a build; returns the artifact's digest. Raises RegistryError."""
    blob = await registry.push_bytes(repository, text, TEXT)
    annotations = {"dev.codesessions.build": build}
    return (await registry.push_artifact(repository, build, LOG_TYPE, [blob], annotations)).digest
