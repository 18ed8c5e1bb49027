"""GET /v1/archive over a real connection: the archive's process and all."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile

import pytest
from codesessions_sidecar.archive import run as module
from codesessions_sidecar.archive.limits import Limits
from support.sidecar import ticket
from unit.sidecar.doubles import Client, Place, eventually

TOKEN = ticket(scope=["archive"])


async def body(client: Client) -> tuple[int, bytes, bool]:
    """Status, body, and whether the last chunk came."""
    async with asyncio.timeout(60):
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode()
        status, data = int(head.split()[1]), b""
        if "chunked" not in head:
            return status, await client.reader.read(), True
        while True:
            line = await client.reader.readline()
            if not line:
                return status, data, False
            size = int(line, 16)
            data += await client.reader.readexactly(size)
            await client.reader.readexactly(2)
            if size == 0:
                return status, data, True


async def test_the_workspace_comes_as_a_zip(here: Place) -> None:
    (here.workspace / "a.txt").write_text("hello")
    client = await here.client()
    client.send("GET", "/v1/archive", token=TOKEN)
    status, data, complete = await body(client)
    assert (status, complete) == (200, True)
    assert zipfile.ZipFile(io.BytesIO(data)).read("a.txt") == b"hello"
    assert await client.at_end()


async def test_its_size_can_be_asked_for(here: Place) -> None:
    (here.workspace / "a.txt").write_text("hello")
    client = await here.client()
    assert (await client.call("GET", "/v1/archive?check=1", token=TOKEN))[2] == {"entries": 1, "bytes": 5, "skipped": 0}


@pytest.mark.parametrize(
    ("target", "token", "status", "code"),
    [
        ("/v1/archive", ticket(), 403, "missing_scope"),
        ("/v1/archive", "", 401, "invalid_ticket"),
        ("/v1/archive?fileBytes=4", TOKEN, 422, "file_too_large"),
        ("/v1/archive?check=1&totalBytes=4", TOKEN, 422, "archive_too_large"),
        ("/v1/archive?entries=1e9", TOKEN, 400, "bad_parameter"),
        ("/v1/archive?check=2", TOKEN, 400, "bad_parameter"),
    ],
)
async def test_refusals_come_before_the_first_byte(
    here: Place, target: str, token: str, status: int, code: str
) -> None:
    (here.workspace / "a.txt").write_text("hello")
    found, _, document = await (await here.client()).call("GET", target, token=token)
    assert (found, document["code"]) == (status, code)
    if status == 422:
        assert "'a.txt'" in document["detail"]


async def test_a_workspace_that_is_not_there_is_said(here: Place) -> None:
    here.workspace.rmdir()
    found, _, document = await (await here.client()).call("GET", "/v1/archive", token=TOKEN)
    assert (found, document["code"]) == (422, "unreadable")


async def test_what_goes_wrong_in_the_middle_gives_no_archive(here: Place) -> None:
    (here.workspace / "a").write_bytes(os.urandom(40 << 20))  # more than all buffers
    (here.workspace / "b").write_text("b")
    client = await here.client()
    client.send("GET", "/v1/archive", token=TOKEN)
    await client.writer.drain()
    begun = await client.reader.readuntil(b"\r\n\r\n")
    (here.workspace / "b").write_bytes(b"-" * 600)
    os.truncate(here.workspace / "b", Limits().file + 1)
    rest = begun + await asyncio.wait_for(client.reader.read(-1), 60)
    assert not rest.endswith(b"0\r\n\r\n")
    assert b"\ncodesessions-archive-error\tfile_too_large\t'b' is over" in rest[-400:]


async def test_one_at_a_time_and_a_client_that_leaves_frees_the_place(here: Place) -> None:
    (here.workspace / "a").write_bytes(os.urandom(40 << 20))
    first = await here.client()
    first.send("GET", "/v1/archive", token=TOKEN)
    await first.reader.readuntil(b"\r\n\r\n")
    second = await here.client()
    status, headers, document = await second.call("GET", "/v1/archive", token=TOKEN)
    assert (status, document["code"], headers["retry-after"]) == (429, "archive_busy", "2")
    assert (await (await here.client()).call("GET", "/v1/output"))[0] == 200, "the terminal goes on"
    first.writer.transport.abort()
    await eventually("the place is free", lambda: not here.server._archiving.locked())


async def test_a_process_that_dies_leaves_half_an_answer(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.workspace / "a").write_bytes(os.urandom(40 << 20))
    children: list[int] = []
    real = module._spawn

    def spawn(*words: object) -> int:
        children.append(real(*words))  # type: ignore[arg-type]
        return children[-1]

    monkeypatch.setattr(module, "_spawn", spawn)
    client = await here.client()
    client.send("GET", "/v1/archive", token=TOKEN)
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    os.kill(children[0], 9)
    rest = await asyncio.wait_for(client.reader.read(-1), 60)
    assert not rest.endswith(b"0\r\n\r\n")


async def test_a_stopping_sidecar_takes_its_archive_along(here: Place) -> None:
    (here.workspace / "a").write_bytes(os.urandom(40 << 20))
    client = await here.client()
    client.send("GET", "/v1/archive", token=TOKEN)
    await client.reader.readuntil(b"\r\n\r\n")
    await here.server.stop(1012, "restarting")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222 - does not wait
