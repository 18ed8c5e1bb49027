"""The client against the registry that the world runs."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
import uuid
from collections.abc import AsyncIterator

import pytest
from codesessions_oci.descriptors import INDEX, MANIFEST, Descriptor, digest_of, index, render
from codesessions_oci.errors import IntegrityError, NotFoundError, RefusedError, UnavailableError
from codesessions_oci.registry import Registry
from support.registry import PASSWORD, USER, RealRegistry, TokenServer

TYPE = "application/vnd.codesessions.test.v1"


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def collect(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


@pytest.fixture
def repository(registry: Registry) -> str:
    return registry.settings.repository("demo", f"r-{uuid.uuid4().hex[:8]}")


async def test_a_streamed_blob_comes_back_byte_for_byte(registry: Registry, repository: str) -> None:
    parts = [os.urandom(size) for size in (1, 70_000, 3 << 20, 17)]
    pushed = await registry.push_blob(repository, stream(*parts), "text/x")
    whole = b"".join(parts)
    assert pushed == Descriptor(digest_of(whole), len(whole), "text/x")
    assert await registry.has_blob(repository, pushed.digest) == Descriptor(pushed.digest, len(whole))
    assert await collect(registry.read_blob(repository, pushed.digest, pushed.size)) == whole


async def test_nothing_is_a_blob_too(registry: Registry, repository: str) -> None:
    pushed = await registry.push_blob(repository, stream())
    assert pushed.size == 0
    assert await collect(registry.read_blob(repository, pushed.digest, 0)) == b""


async def test_a_stream_that_fails_leaves_nothing(registry: Registry, repository: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await registry.push_blob(repository, broken())
    assert await registry.has_blob(repository, digest_of(b"begun")) is None
    assert (await registry.push_blob(repository, stream(b"later"))).size == 5


async def test_bytes_are_sent_once(registry: Registry, repository: str) -> None:
    first = await registry.push_bytes(repository, b"small", "text/plain")
    assert await registry.push_bytes(repository, b"small", "text/plain") == first
    assert await collect(registry.read_blob(repository, first.digest)) == b"small"


async def test_a_blob_is_mounted_without_being_sent(registry: Registry, repository: str) -> None:
    other = registry.settings.repository("demo", f"m-{uuid.uuid4().hex[:8]}")
    pushed = await registry.push_bytes(repository, os.urandom(1000))
    assert await registry.mount_blob(other, pushed.digest, repository)
    assert await registry.has_blob(other, pushed.digest) is not None
    assert not await registry.mount_blob(other, digest_of(b"nobody has it"), repository)


async def test_a_blob_that_is_not_there(registry: Registry, repository: str) -> None:
    missing = digest_of(b"missing")
    assert await registry.has_blob(repository, missing) is None
    with pytest.raises(NotFoundError) as caught:
        await collect(registry.read_blob(repository, missing))
    assert caught.value.status == 404
    assert caught.value.code == "BLOB_UNKNOWN"
    await registry.delete_blob(repository, missing)


async def test_a_blob_that_was_damaged_on_disk_is_not_taken(
    registry: Registry, repository: str, real: RealRegistry
) -> None:
    pushed = await registry.push_bytes(repository, b"sound" * 1000)
    hexadecimal = pushed.digest.partition(":")[2]
    path = real.folder / f"store/docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
    path.write_bytes(b"Sound" + b"sound" * 999)
    with pytest.raises(IntegrityError):
        await collect(registry.read_blob(repository, pushed.digest, pushed.size))


async def test_a_blob_that_is_longer_than_it_may_be_is_cut_off(registry: Registry, repository: str) -> None:
    pushed = await registry.push_bytes(repository, bytes(4 << 20))
    seen: list[int] = []

    async def count() -> None:
        async for part in registry.read_blob(repository, pushed.digest, 1000):
            seen.append(len(part))

    with pytest.raises(IntegrityError):
        await count()
    assert sum(seen) <= 1000


async def test_an_artifact_is_found_by_tag_and_digest_and_deleted(registry: Registry, repository: str) -> None:
    layer = await registry.push_blob(repository, stream(b"words"), "text/plain")
    pushed = await registry.push_artifact(repository, "it", TYPE, [layer], {"a": "b"})
    for reference in ("it", pushed.digest):
        found = await registry.get_manifest(repository, reference)
        assert (found.media_type, found.digest, found.layers) == (MANIFEST, pushed.digest, [layer])
        assert found.document["artifactType"] == TYPE
        assert found.document["annotations"] == {"a": "b"}
    assert await registry.tags(repository) == ["it"]
    assert repository in await registry.repositories()
    again = await registry.push_artifact(repository, "it", TYPE, [layer], {"a": "b"})
    assert again == pushed
    for _ in range(2):
        await registry.delete_manifest(repository, pushed.digest)
    assert await registry.tags(repository) == []
    with pytest.raises(NotFoundError):
        await registry.get_manifest(repository, "it")


async def test_a_repository_that_is_not_there_has_no_tags(registry: Registry, repository: str) -> None:
    assert await registry.tags(repository) == []


async def test_many_tags_come_in_pages(registry: Registry, repository: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesessions_oci.registry._PAGE", 3)
    for number in range(8):
        await registry.push_artifact(repository, f"t{number}", TYPE, [], {})
    assert sorted(await registry.tags(repository)) == [f"t{number}" for number in range(8)]


async def test_what_a_manifest_refers_to_must_be_there(registry: Registry, repository: str) -> None:
    """It may have been collected while the rest was sent: whoever sends all of it again succeeds."""
    absent = Descriptor(digest_of(b"absent"), 6)
    with pytest.raises(UnavailableError) as caught:
        await registry.push_artifact(repository, "it", TYPE, [absent], {})
    assert "MANIFEST_BLOB_UNKNOWN" in str(caught.value)


async def test_referrers_are_known_although_this_registry_does_not_list_them(
    registry: Registry, repository: str
) -> None:
    subject = await registry.push_artifact(repository, "subject", TYPE, [], {})
    assert await registry.referrers(repository, subject.digest) == []
    one = await registry.push_artifact(repository, "one", "application/one", [], {"n": "1"}, subject)
    two = await registry.push_artifact(repository, "two", "application/two", [], {"n": "2"}, subject)
    await registry.push_artifact(repository, "two", "application/two", [], {"n": "2"}, subject)
    found = await registry.referrers(repository, subject.digest)
    assert [each.digest for each in found] == [one.digest, two.digest]
    (only,) = await registry.referrers(repository, subject.digest, "application/two")
    assert (only.digest, only.artifact_type, only.annotations) == (two.digest, "application/two", {"n": "2"})


async def test_an_index_is_a_manifest_too(registry: Registry, repository: str) -> None:
    part = await registry.push_artifact(repository, "part", TYPE, [], {})
    body = render(index([part.document()]))
    digest = await registry.push_manifest(repository, "all", body, INDEX)
    found = await registry.get_manifest(repository, "all")
    assert (found.media_type, found.digest, json.loads(found.body)) == (INDEX, digest, json.loads(body))


async def test_a_registry_that_is_down_is_unavailable_and_comes_back(own: RealRegistry) -> None:
    async with Registry(own.settings()) as registry:
        repository = registry.settings.repository("demo", "r")
        with pytest.raises(UnavailableError, match="does not answer"):
            await registry.check()
        own.start()
        pushed = await registry.push_blob(repository, stream(b"a"))
        own.stop()
        with pytest.raises(UnavailableError):
            await registry.push_blob(repository, stream(b"b"))
        own.start()
        assert await collect(registry.read_blob(repository, pushed.digest)) == b"a"


async def test_a_registry_that_stops_in_the_middle_of_a_blob_is_unavailable(own: RealRegistry) -> None:
    async def long() -> AsyncIterator[bytes]:
        for number in range(1000):
            if number == 40:
                own.stop()
            yield bytes(1 << 20)

    own.start()
    async with Registry(own.settings()) as registry:
        with pytest.raises(UnavailableError):
            await registry.push_blob("r", long())


async def test_with_a_user_and_a_password(own: RealRegistry) -> None:
    own.with_password().start()
    async with Registry(own.settings(user=USER)) as registry:
        pushed = await registry.push_blob("r", stream(b"mine"))
        assert await collect(registry.read_blob("r", pushed.digest)) == b"mine"
    for settings in (own.settings(), own.settings(user=USER, password="wrong")):
        async with Registry(settings) as registry:
            with pytest.raises(RefusedError) as caught:
                await registry.push_blob("r", stream(b"not mine"))
            assert caught.value.status == 401
            assert PASSWORD not in str(caught.value)


async def test_with_tokens_that_are_asked_for_once_a_scope_and_again_when_they_expire(own: RealRegistry) -> None:
    with TokenServer(own.folder) as tokens:
        own.auth = tokens.auth
        own.start()
        async with Registry(own.settings(user=USER)) as registry:
            pushed = await registry.push_blob("a/b", stream(b"mine"))
            await registry.push_artifact("a/b", "it", TYPE, [pushed], {})
            assert await registry.mount_blob("c", pushed.digest, "a/b")
            assert await collect(registry.read_blob("c", pushed.digest)) == b"mine"
            await registry.delete_manifest("a/b", digest_of((await registry.get_manifest("a/b", "it")).body))
            assert tokens.asked.count(["repository:a/b:pull,push"]) == 1
            assert ["repository:c:pull,push", "repository:a/b:pull"] in tokens.asked
        tokens.life = 16  # a second, less what is kept back
        async with Registry(own.settings(user=USER)) as registry:
            registry._transport._tokens["repository:a/b:pull,push",] = ("stale", float("inf"))
            assert (await registry.push_blob("a/b", stream(b"again"))).size == 5
        async with Registry(own.settings(user=USER, password="wrong")) as registry:
            with pytest.raises(RefusedError):
                await registry.push_blob("a/b", stream(b"not mine"))


async def test_with_a_certificate_that_only_the_ca_file_knows(own: RealRegistry) -> None:
    own.tls = True
    own.start()
    async with Registry(own.settings()) as registry:
        assert (await registry.push_blob("r", stream(b"secret"))).size == 6
    variables = own.variables()
    del variables["CODESESSIONS_REGISTRY_CA_FILE"]
    settings = type(own.settings()).read(variables)
    assert settings is not None
    async with Registry(settings) as registry:
        with pytest.raises(UnavailableError, match="certificate"):
            await registry.check()


async def test_a_large_blob_takes_no_memory(registry: Registry, repository: str) -> None:
    block, count = os.urandom(1 << 20), 64

    async def many() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield block

    tracemalloc.start()
    try:
        pushed = await registry.push_blob(repository, many())
        hashed = hashlib.sha256()
        async for part in registry.read_blob(repository, pushed.digest, count << 20):
            hashed.update(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "sha256:" + hashed.hexdigest() == pushed.digest
    assert peak < 8 << 20
