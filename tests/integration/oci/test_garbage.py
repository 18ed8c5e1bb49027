"""What the collection of the registry's garbage takes, and what it must leave."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator

import pytest
from codesessions_oci.descriptors import MANIFEST, Descriptor, digest_of, render
from codesessions_oci.errors import NotFoundError, UnavailableError
from codesessions_oci.registry import Registry
from support.registry import RealRegistry

TYPE = "application/vnd.codesessions.test.v1"
SIZE = 1 << 20


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _artifact(registry: Registry, repository: str, tag: str, subject: Descriptor | None = None) -> Descriptor:
    """With a blob of its own, of SIZE bytes."""
    blob = await registry.push_blob(repository, _once(os.urandom(SIZE)))
    return await registry.push_artifact(repository, tag, TYPE, [blob], {}, subject)


async def test_what_is_referred_to_stays_and_the_rest_gives_its_disk_back(own: RealRegistry) -> None:
    own.start()
    async with Registry(own.settings()) as registry:
        repository, begun = (registry.settings.repository("demo", name) for name in ("app-1", "begun"))
        kept, gone = [await _artifact(registry, repository, tag) for tag in ("bld-kept", "bld-gone")]
        statements = [await _artifact(registry, repository, f"of-{each.digest[-9:]}", each) for each in (kept, gone)]
        await registry.push_bytes(begun, b"a layer whose manifest never comes")
        await registry.delete_with_referrers(repository, gone.digest)
        assert await registry.tags(repository) == sorted(
            ["bld-kept", f"of-{kept.digest[-9:]}", kept.digest.replace(":", "-")]
        )
    own.stop()
    assert own.size > 4 * SIZE
    assert "blobs marked" in own.collect()
    assert 2 * SIZE < own.size < 2 * SIZE + 100_000
    assert "blobs marked" in own.collect(), "and once more, over what is left"
    own.start()
    async with Registry(own.settings()) as registry:
        for each in (kept, statements[0]):
            manifest = await registry.get_manifest(repository, each.digest)
            (layer,) = manifest.layers
            assert sum([len(part) async for part in registry.read_blob(repository, layer.digest, layer.size)]) == SIZE
        assert [each.digest for each in await registry.referrers(repository, kept.digest)] == [statements[0].digest]
        for each in (gone, statements[1]):
            with pytest.raises(NotFoundError):
                await registry.get_manifest(repository, each.digest)
        # The same once more: what the registry has lost it does not believe to have.
        again = await registry.push_bytes(begun, b"a layer whose manifest never comes")
        assert await registry.push_artifact(begun, "now", TYPE, [again], {})


async def test_a_layer_lost_before_its_manifest_came_is_worth_another_try(own: RealRegistry) -> None:
    own.start()
    async with Registry(own.settings()) as registry:
        repository = registry.settings.repository("demo", f"r-{uuid.uuid4().hex[:8]}")
        layer = await registry.push_blob(repository, _once(b"layer"))
        own.stop()
        own.collect()
        own.start()
        body = render({"schemaVersion": 2, "mediaType": MANIFEST, "config": layer.document(), "layers": []})
        with pytest.raises(UnavailableError, match="has lost what was sent"):
            await registry.push_manifest(repository, "x", body)
        await registry.push_blob(repository, _once(b"layer"))
        assert await registry.push_manifest(repository, "x", body) == digest_of(body)


async def test_a_registry_that_starts_anew_amid_an_upload_is_worth_another_try(own: RealRegistry) -> None:
    own.start()
    async with Registry(own.settings()) as registry:
        repository = registry.settings.repository("demo", f"r-{uuid.uuid4().hex[:8]}")

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(SIZE)
            own.stop()
            own.start()
            yield bytes(SIZE)

        with pytest.raises(UnavailableError):
            await registry.push_blob(repository, broken())
        assert (await registry.push_blob(repository, _once(bytes(SIZE)))).size == SIZE
