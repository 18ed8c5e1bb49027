"""Sends an OCI image layout to the registry (OCI Image Specification 1.1, "Image Layout").

The user's code ran beside where it was made: no link is followed, and nothing is sent that is not what its digest says.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from codesessions_oci.descriptors import MANIFEST, Descriptor, digest_of
from codesessions_oci.registry import Registry

from codesessions_builder.errors import BuildError
from codesessions_builder.tree import open_file

_BLOCK = 256 << 10
_MOST = 8 << 20
"""Bytes of an index, a manifest or a config."""
BASE_DIGEST, BASE_NAME = "org.opencontainers.image.base.digest", "org.opencontainers.image.base.name"


@dataclass(frozen=True)
class Pushed:
    """What was sent; of the base what the layout says of it, or nothing."""

    image: Descriptor
    size: int
    base_name: str
    base_digest: str


async def push(registry: Registry, repository: str, folder: int, tag: str) -> Pushed:
    """Send the layout's one image. Raises BuildError, RegistryError and OSError."""
    index = _document(_read(folder, "index.json"))
    try:
        (entry,) = index["manifests"]
        at = Descriptor.read(entry)
        if at.media_type != MANIFEST:
            raise BuildError("image_invalid", f"the build left no image manifest, but {at.media_type}")
        body = _read(folder, _path(at))
        if digest_of(body) != at.digest:
            raise _damaged(at)
        manifest = _document(body)
        config, layers = Descriptor.read(manifest["config"]), [Descriptor.read(each) for each in manifest["layers"]]
        notes = {str(name): str(value) for name, value in (manifest.get("annotations") or {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BuildError("image_invalid", "what the build left is no image") from error
    for each in (config, *layers):
        await _send(registry, repository, folder, each)
    digest = await registry.push_manifest(repository, tag, body)
    size = sum(each.size for each in layers)
    return Pushed(Descriptor(digest, len(body), MANIFEST), size, notes.get(BASE_NAME, ""), notes.get(BASE_DIGEST, ""))


async def _send(registry: Registry, repository: str, folder: int, blob: Descriptor) -> None:
    if await registry.has_blob(repository, blob.digest) is not None:
        return
    with open_file(folder, _path(blob)) as content:
        sent = await registry.push_blob(repository, _stream(content))
    if sent.digest != blob.digest:
        raise _damaged(blob)


async def _stream(content: BinaryIO) -> AsyncIterator[bytes]:
    while data := content.read(_BLOCK):
        yield data
        await asyncio.sleep(0)


def _path(blob: Descriptor) -> str:
    return f"blobs/sha256/{blob.digest.partition(':')[2]}"


def _read(folder: int, path: str) -> bytes:
    with open_file(folder, path) as content:
        if not stat.S_ISREG((found := os.fstat(content.fileno())).st_mode) or found.st_size > _MOST:
            raise BuildError("image_invalid", f"what the build left is no image: {path} is over {_MOST} bytes")
        return content.read(_MOST)


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise BuildError("image_invalid", "what the build left is no image: it is not JSON") from error
    if not isinstance(found, dict):
        raise BuildError("image_invalid", "what the build left is no image")
    return found


def _damaged(blob: Descriptor) -> BuildError:
    return BuildError("image_invalid", f"what the build left is not what its digest says: {blob.digest}")
