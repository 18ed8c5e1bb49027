"""Output of sessions that have ended, from the real registry."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from codesessions_api.archivecache import ArchiveCache, TooLargeError
from codesessions_oci.registry import Registry
from codesessions_transcript.records import MEDIA_TYPE, End, Header, Output, TranscriptError, encode
from support.registry import RealRegistry
from support.restapi import ONE, Rest, serving, until

LIMIT = 4 << 20
TYPE = "application/vnd.codesessions.transcript.v1"


def transcript(*chunks: bytes, code: int | None = 7, first: int = 1) -> bytes:
    last = first + len(chunks) - 1
    records = [Output(seq, seq * 10**9, data) for seq, data in enumerate(chunks, first)]
    header, end = Header("cs_abc123", 1, first, last, 24, 80), End(last, code, None)
    return b"".join(map(encode, [header, *records, end]))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealRegistry]:
    found = RealRegistry(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def rest(real: RealRegistry, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(registry=real.url, cache=ArchiveCache(tmp_path / "cache", LIMIT)) as found:
        yield found


async def store(rest: Rest, real: RealRegistry, content: bytes, *, name: str = "cs-abc123", uid: str = "") -> str:
    """A session that has ended, with its transcript in the registry; returns the layer's digest."""
    if ("CodeSession", "demo", name) not in rest.kube.objects:
        await rest.kube.add_session(name)
    session = rest.kube.objects["CodeSession", "demo", name]
    async with Registry(real.settings()) as registry:
        repository = registry.settings.repository("demo", name)
        layer = await registry.push_bytes(repository, content, MEDIA_TYPE)
        annotations = {"dev.codesessions.uid": uid or session["metadata"]["uid"]}
        pushed = await registry.push_artifact(repository, "transcript", TYPE, [layer], annotations)
    reference = {"repository": repository, "digest": pushed.digest, "size": layer.size, "lastSeq": 3}
    await rest.kube.set_status(name, phase="Completed", pod={"ip": None}, transcript=reference, exitCode=7)

    def known() -> bool:
        context = rest.application.context
        assert context is not None
        found: Any = context.caches.sessions.get("demo", name)
        return bool(found and found["status"].get("transcript", {}).get("digest") == pushed.digest)

    await until("the API knows it", known)
    return layer.digest


async def test_pages_are_as_the_live_terminal_had_them(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"one ", "zwölf ".encode(), b"\xff!"))
    first = (await rest.call("GET", f"{ONE}/output?limit=1")).json
    assert first == {
        "sessionId": "cs_abc123",
        "chunks": [{"seq": 1, "text": "one ", "createdAt": "1970-01-01T00:00:01.000Z"}],
        "lastSeq": 3,
        "oldestSeq": 1,
        "truncated": False,
        "exit": {"code": 7, "signal": None},
    }
    rest_of_it = (await rest.call("GET", f"{ONE}/output?afterSeq=1")).json
    assert [(each["seq"], each["text"]) for each in rest_of_it["chunks"]] == [(2, "zwölf "), (3, "\ufffd!")]
    raw = (await rest.call("GET", f"{ONE}/output?afterSeq=2&raw=base64")).json
    assert base64.b64decode(raw["chunks"][0]["data"]) == b"\xff!"
    assert rest.sidecar.calls == []


async def test_a_long_poll_at_the_end_is_answered_at_once(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"all"))
    answer = await asyncio.wait_for(rest.call("GET", f"{ONE}/output?afterSeq=1", Prefer="wait=60"), 30)
    assert (answer.json["chunks"], answer.json["exit"]["code"]) == ([], 7)


async def test_an_end_that_nobody_saw_is_an_end(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"all", code=None))
    await rest.kube.set_status(exitCode=None)
    assert (await rest.call("GET", f"{ONE}/output")).json["exit"] is not None


async def test_what_has_fallen_out_of_the_ring_is_said(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"late", first=100))
    answer = (await rest.call("GET", f"{ONE}/output?afterSeq=5")).json
    assert (answer["truncated"], answer["oldestSeq"], answer["chunks"][0]["seq"]) == (True, 100, 100)


async def test_what_was_read_once_needs_no_registry(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"kept"))
    await store(rest, real, transcript(b"other"), name="cs-other")
    await rest.call("GET", f"{ONE}/output")
    real.stop()
    assert (await rest.call("GET", f"{ONE}/output")).status == 200
    other = ONE.replace("cs_abc123", "cs_other")
    refused = await rest.call("GET", f"{other}/output")
    assert (refused.status, refused.code) == (503, "archive_unavailable")
    assert "retry-after" in refused.headers
    real.start()
    assert (await rest.call("GET", f"{other}/output")).json["chunks"][0]["text"] == "other"


async def test_a_transcript_that_is_not_in_the_registry_any_more_is_gone(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"kept"))
    async with Registry(real.settings()) as registry:
        repository = registry.settings.repository("demo", "cs-abc123")
        await registry.delete_manifest(repository, (await registry.get_manifest(repository, "transcript")).digest)
    answer = await rest.call("GET", f"{ONE}/output")
    assert (answer.status, answer.code) == (410, "output_gone")


async def test_what_is_damaged_is_not_shown(rest: Rest, real: RealRegistry) -> None:
    digest = (await store(rest, real, transcript(b"sound"))).partition(":")[2]
    path = real.folder / f"store/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"
    path.write_bytes(path.read_bytes().replace(b"sound", b"false"))
    assert (await rest.call("GET", f"{ONE}/output")).code == "archive_unavailable"


@pytest.mark.parametrize("content", [b"", b"nonsense\n", transcript(b"x")[:-5]])
async def test_what_is_no_transcript_is_not_shown(content: bytes, rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, content)
    assert (await rest.call("GET", f"{ONE}/output")).code == "archive_unavailable"


async def test_another_sessions_transcript_is_not_shown(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(b"theirs"), uid="uid-of-another")
    assert (await rest.call("GET", f"{ONE}/output")).code == "archive_unavailable"


async def test_many_readers_at_once_fetch_it_once(rest: Rest, real: RealRegistry) -> None:
    await store(rest, real, transcript(*[os.urandom(65536) for _ in range(40)]))
    answers = await asyncio.gather(*(rest.call("GET", f"{ONE}/output?limit=1") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    context = rest.application.context
    assert context is not None
    assert context.transcripts._cache.size < LIMIT


class TestTheCache:
    @staticmethod
    async def content(data: bytes) -> AsyncIterator[bytes]:
        yield data

    async def test_forgets_what_was_not_used_for_longest(self, tmp_path: Path) -> None:
        data = transcript(bytes(1000))
        cache = ArchiveCache(tmp_path / "cache", 2 * len(data) + 10)
        for name in ("a", "b"):
            await cache.add(name, "d", len(data), self.content(data))
        reader = cache.get("b", "d")
        assert cache.get("a", "d") is not None
        await cache.add("c", "d", len(data), self.content(data))
        assert [cache.get(name, "d") is not None for name in "abc"] == [True, False, True]
        assert cache.size == 2 * len(data)
        assert reader is not None
        assert reader.output(0)["lastSeq"] == 1, "whoever has it may read on"

    async def test_takes_nothing_that_does_not_fit(self, tmp_path: Path) -> None:
        with pytest.raises(TooLargeError):
            await ArchiveCache(tmp_path / "cache", 10).add("a", "d", 11, self.content(b""))

    async def test_leaves_nothing_behind(self, tmp_path: Path) -> None:
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "of a predecessor").touch()
        cache = ArchiveCache(tmp_path / "cache", 1000)
        data = transcript(b"x")
        await cache.add("a", "d", len(data), self.content(data))
        with pytest.raises(TranscriptError):
            await cache.add("b", "d", 3, self.content(b"no\n"))
        assert list((tmp_path / "cache").iterdir()) == []
        assert cache.size == len(data)
        cache.close()
