"""Registry I/O of a build: the source in, the image and its statement out. Raises RegistryError."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from codesessions_oci.descriptors import DOCKER_LIST, INDEX, MANIFEST, Descriptor, Manifest, digest_of, render
from codesessions_oci.registry import Registry

from codesessions_builder import image, provenance
from codesessions_builder.errors import BuildError
from codesessions_builder.layer import Layer

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_MAX_CONFIG = 8 << 20


@dataclass(frozen=True)
class Base:
    """The runtime image."""

    repository: str
    digest: str
    layers: list[Descriptor]
    config: dict[str, Any]


async def fetch_source(registry: Registry, repository: str, digest: str, target: BinaryIO) -> int:
    """Write the source artifact's zip to a file; returns its bytes."""
    layers = (await registry.get_manifest(repository, digest)).layers
    if len(layers) != 1:
        raise BuildError("source_invalid", f"the source {digest} is not one zip: it has {len(layers)} layers")
    size = 0
    async for data in registry.read_blob(repository, layers[0].digest, layers[0].size):
        target.write(data)
        size += len(data)
    target.flush()
    return size


async def read_base(registry: Registry, reference: str) -> Base:
    """The runtime image's manifest and config, for this machine's architecture."""
    repository, tag = split(reference)
    manifest = await registry.get_manifest(repository, tag)
    if manifest.media_type in {INDEX, DOCKER_LIST}:
        manifest = await registry.get_manifest(repository, _for_this_machine(manifest))
    at = Descriptor.read(manifest.document["config"])
    if at.size > _MAX_CONFIG:
        raise BuildError("base_invalid", f"the config of {reference} is over {_MAX_CONFIG} bytes")
    data = b"".join([part async for part in registry.read_blob(repository, at.digest, at.size)])
    return Base(repository, manifest.digest, manifest.layers, json.loads(data))


def split(reference: str) -> tuple[str, str]:
    """`a/b@sha256:..` and `a/b:1` -> repository and reference."""
    if "@" in reference:
        repository, _, digest = reference.partition("@")
        return repository.rpartition(":")[0] or repository, digest
    repository, colon, tag = reference.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (reference, "latest")


def _for_this_machine(manifest: Manifest) -> str:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    for each in manifest.document.get("manifests") or []:
        found = each.get("platform") or {}
        if (found.get("os"), found.get("architecture")) == ("linux", machine):
            return str(each["digest"])
    raise BuildError("base_invalid", f"the runtime image is not there for linux/{machine}")


async def push(
    registry: Registry,
    repository: str,
    base: Base,
    base_registry: Registry,
    layer: Layer,
    config_of: Any,
    annotations: Mapping[str, str],
    tag: str,
) -> Descriptor:
    """Put the layer on the base: the base's own layers are mounted, not sent. `config_of(diff_id)` is the config."""
    mounts = asyncio.gather(
        *(_ensure(registry, repository, each, base_registry, base.repository) for each in base.layers)
    )
    try:
        ours = await registry.push_blob(repository, _stream(layer), image.LAYER)
    except BaseException:
        mounts.cancel()
        raise
    await mounts
    config = await registry.push_bytes(repository, render(config_of(layer.diff_id)), image.CONFIG)
    body = image.manifest(config, [*base.layers, ours], annotations)
    digest = await registry.push_manifest(repository, tag or digest_of(body).replace(":", "-"), body)
    return Descriptor(digest, len(body), MANIFEST)


async def _stream(layer: Layer) -> AsyncIterator[bytes]:
    for data in layer:
        yield data
        await asyncio.sleep(0)


async def _ensure(registry: Registry, repository: str, blob: Descriptor, other: Registry, source: str) -> None:
    """Have a base layer in the application's repository."""
    if await registry.has_blob(repository, blob.digest):
        return
    if other is not registry or not await registry.mount_blob(repository, blob.digest, source):
        await registry.push_blob(repository, other.read_blob(source, blob.digest, blob.size))


async def attach(registry: Registry, repository: str, subject: Descriptor, statement: Mapping[str, Any]) -> str:
    """The statement, as a referrer of the image; returns its digest."""
    blob = await registry.push_bytes(repository, render(statement), provenance.MEDIA_TYPE)
    annotations = {"in-toto.io/predicate-type": provenance.PREDICATE}
    blob = Descriptor(blob.digest, blob.size, provenance.MEDIA_TYPE, annotations)
    tag = f"provenance-{subject.digest.partition(':')[2][:40]}"
    found = await registry.push_artifact(repository, tag, provenance.MEDIA_TYPE, [blob], annotations, subject)
    return found.digest
