"""The archiver against the real registry, and sidecars good and bad."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from codesessions_crds.credentials import verify_ticket, workspace_key
from codesessions_oci.registry import Registry
from codesessions_operator import archiver as subject
from codesessions_operator import sidecars as calls
from codesessions_operator.archiver import Archiver
from codesessions_operator.clock import now
from codesessions_operator.decision import Attempt
from codesessions_operator.sidecars import Sidecars
from codesessions_operator.sweep import sweep
from codesessions_transcript.records import End, Header, Output, encode
from support.kube import MemoryKube
from support.operator import session
from support.registry import RealRegistry

MASTER_KEY = bytes(range(32))
SESSION = session()
HERE = "127.0.0.1"


def transcript(*texts: bytes, identity: str = "cs_abc123", end: bool = True) -> bytes:
    records = [Output(seq, seq, text) for seq, text in enumerate(texts, 1)]
    found = b"".join(map(encode, [Header(identity, 1, 1, len(texts), 24, 80), *records]))
    return found + (encode(End(len(texts), 7, None)) if end else b"")


results: list[str] = []
"""What archivers counted."""


class FakeSidecar:
    """Sends what a test says, to whoever has the right ticket."""

    def __init__(self) -> None:
        self.body: Callable[[web.StreamResponse], Awaitable[object]] = self._good
        self.exit: object = {"code": 7, "signal": None}
        self.calls: list[str] = []
        self.content = transcript(b"one", b"two")
        self.port = 0

    async def _good(self, response: web.StreamResponse) -> None:
        await response.write(self.content)

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.route("*", "/{path:.*}", self._serve)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, HERE, 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        key = workspace_key(MASTER_KEY, SESSION.namespace, SESSION.uid)
        ticket = verify_ticket(key, request.headers["Authorization"].removeprefix("Bearer "), now=0)
        assert (ticket.session_id, ticket.uid, set(ticket.scope)) == ("cs_abc123", "uid-cs", {"read", "archive"})
        self.calls.append(request.path)
        if request.path == "/v1/output":
            return web.json_response({"chunks": [], "exit": self.exit})
        if request.path in {"/v1/hold", "/v1/release"}:
            return web.Response(status=204)
        response = web.StreamResponse()
        await response.prepare(request)
        await self.body(response)
        return response


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealRegistry]:
    found = RealRegistry(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
async def registry(real: RealRegistry) -> AsyncIterator[Registry]:
    async with Registry(real.settings()) as found:
        yield found


@pytest.fixture
async def sidecar() -> AsyncIterator[FakeSidecar]:
    found = FakeSidecar()
    runner = await found.start()
    yield found
    await runner.cleanup()


@pytest.fixture
async def make(registry: Registry, sidecar: FakeSidecar) -> AsyncIterator[Callable[[], Archiver]]:
    """Makes archivers, as an operator does that is started again."""
    made: list[tuple[Archiver, Sidecars]] = []
    results.clear()

    def begin() -> Archiver:
        sidecars = Sidecars(MASTER_KEY, port=sidecar.port)
        found = Archiver(registry, sidecars, MASTER_KEY, changed=lambda _: None, count=results.append)
        made.append((found, sidecars))
        return found

    yield begin
    for archiver, sidecars in made:
        await archiver.close()
        await sidecars.close()


async def outcome(archiver: Archiver, address: str | None = HERE) -> Attempt:
    archiver.fetch(SESSION, address)
    assert archiver.attempt(SESSION).running
    task = archiver._works[SESSION.namespace, SESSION.name].task
    assert task is not None
    await asyncio.wait_for(task, 120)
    return archiver.attempt(SESSION)


Make = Callable[[], Archiver]


async def test_a_transcript_is_stored_to_the_byte(make: Make, registry: Registry, sidecar: FakeSidecar) -> None:
    found = (await outcome(make())).found
    assert found is not None
    assert (found.repository, found.last_seq, found.size) == ("some/prefix/demo/cs-abc123", 2, len(sidecar.content))
    manifest = await registry.get_manifest(found.repository, "transcript")
    assert manifest.digest == found.digest
    (layer,) = manifest.layers
    parts = [part async for part in registry.read_blob(found.repository, layer.digest, layer.size)]
    assert b"".join(parts) == sidecar.content
    assert sidecar.calls == ["/v1/output", "/v1/transcript"]
    assert results == ["stored"]


async def test_an_operator_that_starts_again_finds_what_the_last_one_stored(make: Make, sidecar: FakeSidecar) -> None:
    first = await outcome(make())
    sidecar.calls.clear()
    for address in (HERE, None):
        assert (await outcome(make(), address)).found == first.found
    assert sidecar.calls == []


async def test_a_transcript_of_an_earlier_session_of_the_name_is_not_taken_for_this_ones(
    make: Make, registry: Registry
) -> None:
    repository = registry.settings.repository("demo", "cs-abc123")
    annotations = {subject.UID: "uid-earlier", subject.LAST_SEQ: "1", subject.CREATED: "2027-01-01T00:00:00Z"}
    layer = await registry.push_bytes(repository, b"x", subject.MEDIA_TYPE)
    await registry.push_artifact(repository, "transcript", subject.ARTIFACT_TYPE, [layer], annotations)
    lost = await outcome(make(), None)
    assert (lost.lost, lost.found) == (True, None)
    found = (await outcome(make())).found
    assert found is not None
    assert found.last_seq == 2


async def test_a_registry_that_is_down_is_said_and_tried_again_later_and_later(make: Make, real: RealRegistry) -> None:
    archiver = make()
    real.stop()
    pauses = []
    for _ in range(3):
        attempt = await outcome(archiver)
        assert attempt.reason == "RegistryUnavailable"
        assert "tried again" in attempt.message
        assert attempt.retry_at is not None
        pauses.append(attempt.retry_at - now())
    assert results == ["RegistryUnavailable"] * 3
    assert pauses == sorted(pauses)
    assert pauses[0] <= timedelta(seconds=2) < pauses[2]
    assert not await archiver.may_make_pod(SESSION, 0)
    real.start()
    assert await archiver.may_make_pod(SESSION, 0)
    assert (await outcome(archiver)).found is not None


async def test_pods_of_the_slow_way_are_few_and_made_for_nothing_that_is_there(make: Make) -> None:
    archiver = make()
    assert not await archiver.may_make_pod(SESSION, subject.PODS_AT_ONCE)
    assert archiver.attempt(SESSION).retry_at is not None
    await outcome(archiver)
    other = make()
    assert not await other.may_make_pod(SESSION, 0)
    assert other.attempt(SESSION).found is not None


async def garbage(response: web.StreamResponse) -> None:
    await response.write(b"not a transcript\n" * 10)


async def endless(response: web.StreamResponse) -> None:
    await response.write(transcript(end=False))
    seq = 0
    while True:
        seq += 1
        await response.write(encode(Output(seq, 1, bytes(65536))))


async def silent(response: web.StreamResponse) -> None:
    await response.write(transcript(b"one", end=False))
    await asyncio.sleep(300)


async def slow(response: web.StreamResponse) -> None:
    await response.write(transcript(end=False))
    for seq in range(1, 1000):
        await response.write(encode(Output(seq, 1, b"drip")))
        await asyncio.sleep(0.05)


async def cut_short(response: web.StreamResponse) -> None:
    await response.write(transcript(b"one", end=False))


async def another(response: web.StreamResponse) -> None:
    await response.write(transcript(b"one", identity="cs_other"))


async def long_line(response: web.StreamResponse) -> None:
    await response.write(b"x" * (1 << 20))


@pytest.mark.parametrize("body", [garbage, endless, silent, slow, cut_short, another, long_line])
async def test_a_hostile_sidecar_gets_nothing_stored(
    body: Callable[[web.StreamResponse], Awaitable[None]],
    make: Make,
    registry: Registry,
    sidecar: FakeSidecar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as limits:
        limits.setattr(calls, "MAX_TRANSCRIPT_BYTES", 4 << 20)
        limits.setattr(calls, "SILENCE_SECONDS", 0.3)
        limits.setattr(calls, "TRANSCRIPT_SECONDS", 1.5)
        sidecar.body = body
        attempt = await outcome(make())
    assert attempt.reason == "TranscriptUnreadable"
    assert await registry.tags(registry.settings.repository("demo", "cs-abc123")) == []
    sidecar.body = sidecar._good
    assert (await outcome(make())).found is not None


async def test_a_shell_that_does_not_end_is_kept_as_far_as_it_came(
    make: Make, sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "END_SECONDS", 0.5)
    sidecar.exit = None
    assert (await outcome(make())).found is not None


async def test_nobody_there(make: Make, sidecar: FakeSidecar) -> None:
    sidecar.port = 1
    attempt = await outcome(make())
    assert attempt.reason == "TranscriptUnreadable"
    assert "cannot be reached" in attempt.message
    await make().hold(SESSION, HERE)
    await make().release(SESSION, HERE)


async def test_hold_and_release(make: Make, sidecar: FakeSidecar) -> None:
    archiver = make()
    await archiver.hold(SESSION, HERE)
    await archiver.release(SESSION, HERE)
    assert sidecar.calls == ["/v1/hold", "/v1/release"]


async def test_the_sidecar_of_a_deleted_session_is_let_go_once(make: Make, sidecar: FakeSidecar) -> None:
    archiver = make()
    key = (SESSION.namespace, SESSION.name)
    await archiver.hold(SESSION, HERE)
    for _ in range(3):  # its pod is seen to end, step by step
        await archiver.abandon(key, SESSION, HERE)
    assert sidecar.calls == ["/v1/hold", "/v1/release"]
    assert archiver.attempt(SESSION) == Attempt()
    await archiver.abandon(key, None, None)
    await archiver.abandon(
        key, SESSION, HERE
    )  # another of that name, whose shell ended before anybody asked to hold it
    assert sidecar.calls == ["/v1/hold", "/v1/release", "/v1/release"]


async def test_what_is_forgotten_begins_anew(make: Make) -> None:
    archiver = make()
    await outcome(archiver)
    archiver.forget((SESSION.namespace, SESSION.name))
    assert archiver.attempt(SESSION) == Attempt()


async def test_a_deleted_transcript_is_gone(make: Make, registry: Registry, real: RealRegistry) -> None:
    archiver = make()
    found = (await outcome(archiver)).found
    assert found is not None
    await archiver.delete(found)
    assert await registry.tags(found.repository) == []
    real.stop()
    await archiver.delete(found)  # the sweep would do it


async def test_the_sweep_takes_what_has_no_session_and_is_ours(make: Make, registry: Registry) -> None:
    found = (await outcome(make())).found
    assert found is not None
    kube = MemoryKube()
    kube.objects["CodeSession", "demo", "cs-abc123"] = {"metadata": {"name": "cs-abc123", "uid": SESSION.uid}}
    owner = subject.installation_of(MASTER_KEY)
    assert await sweep(kube, registry, owner) == 0
    kube.objects.clear()
    assert await sweep(kube, registry, owner) == 0, "it is too young"
    none = timedelta(0)
    assert await sweep(kube, registry, "another", age=none) == 0
    other = registry.settings.repository("demo", "app")
    await registry.push_artifact(other, "transcript", "application/x", [], {subject.INSTALLATION: owner})
    assert await sweep(kube, registry, owner, age=none) == 1
    assert await registry.tags(found.repository) == []
    assert await registry.tags(other) == ["transcript"]
    assert await sweep(kube, registry, owner, age=none) == 0
