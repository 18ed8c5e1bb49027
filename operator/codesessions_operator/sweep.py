"""Deletes transcripts whose session is gone: deleted by kubectl, or while the registry was down.

A session that is deleted because its time is over takes its transcript with it; this is for the rest. It needs a
registry that lists its repositories (`_catalog`: distribution, Harbor); with others their own retention rules do it.
Disk space comes back with the registry's garbage collection.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import timedelta

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import KubeError
from codesessions_kube.kinds import CODE_SESSION
from codesessions_oci.errors import NotFoundError, RefusedError, RegistryError
from codesessions_oci.registry import Registry

from codesessions_operator.archiver import ARTIFACT_TYPE, CREATED, INSTALLATION, TAG, UID
from codesessions_operator.clock import now, parse

EVERY_SECONDS = 3600.0
YOUNG = timedelta(hours=1)
_log = logging.getLogger(__name__)


async def run(client: KubeClient, registry: Registry, installation: str) -> None:
    """Now and then, for ever."""
    jitter = random.Random()  # noqa: S311
    while True:
        await asyncio.sleep(EVERY_SECONDS * jitter.uniform(0.5, 1.0))
        try:
            count = await sweep(client, registry, installation)
        except RefusedError as error:
            _log.info("the registry does not list its repositories: %s", error)
        except (RegistryError, KubeError, ValueError) as error:
            _log.warning("transcripts of sessions that are gone were not looked for: %s", error)
        else:
            if count:
                _log.info("deleted %d transcripts of sessions that are gone", count)


async def sweep(client: KubeClient, registry: Registry, installation: str, *, age: timedelta = YOUNG) -> int:
    """Once; returns how many were deleted. Raises RegistryError, KubeError.

    What is younger than `age` may have been stored since the sessions were listed. Artifacts of other kinds and other
    installations are left alone.
    """
    before = now() - age
    prefix = registry.settings.repository("x").removesuffix("x")
    names = [name for name in await registry.repositories() if name.startswith(prefix)]
    known: set[str] = set()
    async for page, _ in client.pages(CODE_SESSION):
        known.update(item["metadata"]["uid"] for item in page)
    count = 0
    for name in names:
        if name.removeprefix(prefix).count("/") != 1:
            continue
        try:
            manifest = await registry.get_manifest(name, TAG)
            document = manifest.document
        except (NotFoundError, ValueError):
            continue
        annotations = document.get("annotations") or {}
        if document.get("artifactType") != ARTIFACT_TYPE or annotations.get(INSTALLATION) != installation:
            continue
        created = parse(annotations.get(CREATED))
        if annotations.get(UID) not in known and created is not None and created <= before:
            await registry.delete_manifest(name, manifest.digest)
            count += 1
    return count
