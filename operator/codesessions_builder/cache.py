"""What pip and npm fetched, kept in the registry from one build of an App to its next. Only ever a matter of speed.

The user's steps write it and the same App's steps read it; what comes back is only files and folders, and bounded.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from codesessions_oci.errors import NotFoundError, RefusedError, RegistryError
from codesessions_oci.registry import Registry

from codesessions_builder.errors import BuildError
from codesessions_builder.layer import Layer

TAG = "dependency-cache"
VARIABLE = "CODESESSIONS_CACHE_DIR"
"""Where steps keep what they want to have again."""
TYPE = "application/vnd.codesessions.cache.v1"
MEDIA_TYPE = "application/vnd.codesessions.cache.v1.tar+gzip"
MOST = 512 << 20
_PREFIX = "cache"


def variables(folder: str) -> dict[str, str]:
    """How the steps are told of it."""
    return {
        VARIABLE: folder,
        "PIP_CACHE_DIR": f"{folder}/pip",
        "UV_CACHE_DIR": f"{folder}/uv",
        "npm_config_cache": f"{folder}/npm",
        "YARN_CACHE_FOLDER": f"{folder}/yarn",
    }


async def restore(registry: Registry, repository: str, folder: Path, scratch: str, say: Callable[[str], None]) -> str:
    """Fill the folder; the digest of what was there, or an empty text. Never fails a build."""
    try:
        blob = (await registry.get_manifest(repository, TAG)).layers[0]
        if blob.size > MOST:
            return ""
        with tempfile.TemporaryFile(dir=scratch) as packed:
            async for data in registry.read_blob(repository, blob.digest, blob.size):
                packed.write(data)
            packed.seek(0)
            with tarfile.open(fileobj=packed, mode="r:gz") as tar:
                count = _extract(tar, folder)
    except (
        RegistryError,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        tarfile.TarError,
        EOFError,
        zlib.error,
    ):
        return ""  # there is none, or none that is of use
    say(f"Dependency cache: {count} files of the last build")
    return blob.digest


def _extract(tar: tarfile.TarFile, folder: Path) -> int:
    left, count = MOST * 2, 0
    for entry in tar:
        path = entry.name.removeprefix(f"{_PREFIX}/")
        parts = path.split("/")
        left -= entry.size
        if left < 0 or ".." in parts or "" in parts or not (entry.isreg() or entry.isdir()):
            continue
        target = folder.joinpath(*parts)
        if entry.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        content = tar.extractfile(entry)
        if content is None:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while data := content.read(256 << 10):
                out.write(data)
        count += 1
    return count


async def save(registry: Registry, repository: str, folder: Path, known: str, say: Callable[[str], None]) -> None:
    """Keep the folder for the next build, unless it is empty or what it was. Never fails a build."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not os.listdir(at):  # noqa: PTH208 - of a descriptor
            return
        layer = Layer(at, _PREFIX, most=MOST)
        blob = await registry.push_blob(repository, _parts(layer), MEDIA_TYPE)
        if blob.digest != known:
            before = await _manifest(registry, repository)
            kept = await registry.push_artifact(repository, TAG, TYPE, [blob], {})
            if before not in {"", kept.digest}:
                with contextlib.suppress(RefusedError):  # whoever may push need not be allowed to delete
                    await registry.delete_manifest(repository, before)
            say(f"Dependency cache: kept {layer.entries} entries, {layer.size} bytes")
    except (RegistryError, OSError, BuildError) as error:
        say(f"Dependency cache: not kept ({error})")
    finally:
        os.close(at)


async def _manifest(registry: Registry, repository: str) -> str:
    """The digest of the cache that is there; empty without one."""
    try:
        return (await registry.get_manifest(repository, TAG)).digest
    except NotFoundError:
        return ""


async def _parts(layer: Layer) -> AsyncIterator[bytes]:
    for data in layer:
        yield data
