"""Viewers by WebSocket, with a launcher of straw."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from codesessions_sidecar import attach as module
from codesessions_sidecar.journal import CAPACITY
from support.sidecar import ticket
from unit.sidecar.doubles import Place, WebSocket, eventually
from websockets.frames import Opcode

OURS = "codesessions.v1"


async def test_raw_bytes_go_both_ways(here: Place) -> None:
    await here.shell()
    await here.print(b"before \xff\n")
    viewer = await here.websocket()
    assert viewer.protocol.subprotocol is None
    frame = await viewer.next()
    assert (frame.opcode, bytes(frame.data)) == (Opcode.BINARY, b"before \xff\n")
    viewer.send("text ")
    viewer.send(b"binary \xff")
    assert await here.typed(13) == b"text binary \xff"
    here.launcher.print(b"after\n")
    assert await viewer.bytes_until(b"after\n") == b"after\n"


async def test_our_dialect_begins_with_hello_and_numbers_its_output(here: Place) -> None:
    await here.shell()
    for text in (b"1", b"2", "€".encode()):
        await here.print(text)
    viewer = await here.websocket("?afterSeq=1", OURS)
    assert viewer.protocol.subprotocol == OURS
    assert await viewer.message() == {
        "type": "hello",
        "sessionId": "cs_test",
        "lastSeq": 3,
        "oldestSeq": 1,
        "truncated": False,
        "rows": 24,
        "cols": 80,
        "afterSeq": 1,
        "role": "writer",
        "viewers": 1,
        "writers": 1,
        "window": None,
        "inputSeq": 0,
    }
    assert await viewer.message() == {"type": "output", "seq": 2, "text": "2"}
    assert await viewer.message() == {"type": "output", "seq": 3, "text": "€"}
    viewer.send({"type": "input", "text": "é", "inputSeq": 1})
    viewer.send({"type": "input", "text": "é", "inputSeq": 1})
    viewer.send({"type": "input", "text": "!"})
    viewer.send({"type": "resize", "rows": 30, "cols": 90})
    await eventually("the size is set", lambda: here.launcher.size == (30, 90))
    assert here.launcher.typed() == "é!".encode()


@pytest.mark.parametrize("dialect", [None, OURS])
async def test_the_end_is_told_behind_the_last_output(here: Place, dialect: str | None) -> None:
    await here.shell()
    viewer = await here.websocket("?afterSeq=0", dialect)
    here.launcher.print(b"last words")
    here.launcher.exit(7)
    assert await viewer.closed() == (1000, "exit 7")
    frames = [bytes(frame.data) for frame in viewer.frames if frame.opcode is not Opcode.CLOSE]
    if dialect is None:
        assert b"".join(frames) == b"last words"
    else:
        messages = [json.loads(each) for each in frames]
        assert [each["type"] for each in messages] == ["hello", "output", "exit"]
        assert messages[-1] == {"type": "exit", "code": 7, "signal": None}
    late = await here.websocket("", dialect)
    assert await late.closed() == (1000, "exit 7")


async def test_a_ticket_may_be_offered_as_a_subprotocol_and_is_not_echoed(here: Place) -> None:
    await here.shell()
    await here.print(b"x")
    for more, chosen in ((f", {OURS}", OURS), ("", None)):
        client = await here.client()
        client.writer.write(
            b"GET /v1/attach HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            + f"Sec-WebSocket-Protocol: ticket.codesessions.dev.{ticket()}{more}\r\n\r\n".encode()
        )
        status, headers, _ = await client.answer()
        assert (status, headers.get("sec-websocket-protocol")) == (101, chosen)


@pytest.mark.parametrize(
    ("token", "status"), [(ticket(expires=1), 401), (ticket(uid="other"), 401), (ticket(scope=["write"]), 403)]
)
async def test_without_a_ticket_to_read_there_is_no_handshake(here: Place, token: str, status: int) -> None:
    viewer = await here.websocket(token=token)
    response = viewer.protocol.handshake_exc
    assert str(status) in str(response)


async def test_a_viewer_who_may_not_type_does_not(here: Place) -> None:
    await here.shell()
    token = ticket(scope=["read"])
    raw, ours = await here.websocket(token=token), await here.websocket("", OURS, token=token)
    await ours.message()
    raw.send(b"x")
    for order in ({"type": "input", "text": "x"}, {"type": "resize", "rows": 1, "cols": 1}):
        ours.send(order)
        assert await ours.message() == {"type": "error", "code": "missing_scope"}
    await here.print(b"on")
    assert await raw.bytes_until(b"on")
    assert here.launcher.typed() == b""
    assert here.terminal.size == (24, 80)


def unmasked(viewer: WebSocket) -> None:
    viewer.raw(b"\x82\x01x")


def reserved(viewer: WebSocket) -> None:
    viewer.raw(b"\xc2\x80\0\0\0\0")


def bad_text(viewer: WebSocket) -> None:
    viewer.raw(b"\x81\x81\0\0\0\0\xff")


def large(viewer: WebSocket) -> None:
    viewer.send(b"x" * (CAPACITY + 1))


def large_in_pieces(viewer: WebSocket) -> None:
    viewer.raw(b"\x02\xff" + (CAPACITY).to_bytes(8, "big") + b"\0" * 4 + b"x" * CAPACITY)
    viewer.raw(b"\x80\x81\0\0\0\0x")


def continued_from_nothing(viewer: WebSocket) -> None:
    viewer.raw(b"\x80\x81\0\0\0\0x")


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (unmasked, 1002),
        (reserved, 1002),
        (continued_from_nothing, 1002),
        (bad_text, 1007),
        (large, 1009),
        (large_in_pieces, 1009),
    ],
)
async def test_what_is_against_the_protocol_closes_it(here: Place, send: Any, code: int) -> None:
    await here.shell()
    viewer = await here.websocket()
    send(viewer)
    assert (await viewer.closed())[0] == code
    assert here.launcher.typed() == b""
    await eventually("it is gone", lambda: len(here.terminal.viewers) == 0)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", 1008),
        ("[]", 1008),
        ("[" * 5000, 1008),
        ('{"type":"input"}', 1008),
        ('{"type":"input","text":7}', 1008),
        ('{"type":"input","text":"\\ud800"}', 1008),
        ('{"type":"input","text":"x","inputSeq":"1"}', 1008),
        ('{"type":"resize","rows":0,"cols":1}', 1008),
        ('{"type":"resize","rows":1e1,"cols":1}', 1008),
        (b"binary", 1003),
    ],
)
async def test_what_is_no_message_of_ours_closes_it(here: Place, message: str | bytes, code: int) -> None:
    await here.shell()
    viewer = await here.websocket("", OURS)
    viewer.send(message)
    assert (await viewer.closed())[0] == code


async def test_a_message_may_come_in_pieces_with_a_ping_between(here: Place) -> None:
    await here.shell()
    viewer = await here.websocket()
    viewer.raw(b"\x01\x82\0\0\0\0\xe2\x82" + b"\x89\x81\0\0\0\0p" + b"\x80\x81\0\0\0\0\xac")
    frame = await viewer.next()
    assert (frame.opcode, bytes(frame.data)) == (Opcode.PONG, b"p")
    assert await eventually("it is typed", here.launcher.typed) == "€".encode()


async def test_a_newcomer_sees_the_last_screens_only(here: Place) -> None:
    await here.shell()
    for number in range(10):
        await here.print(bytes([65 + number]) * 20_000)
    await here.print(b"end")
    viewer = await here.websocket()
    assert 60_000 < len(await viewer.bytes_until(b"end")) < 90_000


async def test_a_slow_viewer_lags_and_is_told_what_it_missed(here: Place) -> None:
    await here.shell()
    slow = WebSocket(await here.client(receive_buffer=4096), "?afterSeq=0", OURS)
    await slow.open(ticket())
    assert (await slow.message())["type"] == "hello"
    quick = await here.websocket("?afterSeq=0")
    seen = 0
    for number in range(100):  # 6 MB through a ring of 1 MiB
        await here.print(bytes([65 + number % 26]) * 60_000)
        while seen < 60_000 * (number + 1):
            seen += len((await quick.next()).data)
    messages = [await slow.message()]
    while messages[-1].get("seq") != here.terminal.spool.last_seq:
        messages.append(await slow.message())
    kinds = [each["type"] for each in messages]
    assert "truncated" in kinds
    expected = 1
    for index, each in enumerate(messages):
        if each["type"] == "truncated":  # once, or again if it lagged too far behind after that
            assert each["oldestSeq"] > expected
            expected = each["oldestSeq"]
            assert kinds[index + 1] == "screen"
        elif each["type"] == "output":
            assert each["seq"] == expected
            expected += 1


async def test_typing_goes_on_while_the_screen_is_behind(here: Place) -> None:
    await here.shell()
    slow = WebSocket(await here.client(receive_buffer=4096), "?afterSeq=0", None)
    await slow.open(ticket())
    for _ in range(10):
        await here.print(b"x" * 60_000)
    slow.send(b"\x03")
    assert await eventually("Ctrl-C is typed", here.launcher.typed) == b"\x03"
    slow.send(b"\x04")
    assert await eventually("Ctrl-D is typed", here.launcher.typed) == b"\x04"


async def test_a_full_queue_holds_the_typist_back_and_loses_nothing(here: Place) -> None:
    viewer = await here.websocket()
    for number in range(4):
        viewer.send(bytes([65 + number]) * 600_000)
    await eventually("the queue is full", lambda: here.terminal.journal.waiting == 600_000)
    await here.shell()
    assert await here.typed(2_400_000) == b"".join(bytes([65 + number]) * 600_000 for number in range(4))


async def test_a_restart_is_told_and_a_viewer_who_does_not_read_cannot_hold_it_up(here: Place) -> None:
    await here.shell()
    stuck = WebSocket(await here.client(receive_buffer=4096), "?afterSeq=0", None)
    await stuck.open(ticket())
    viewer = await here.websocket()
    for _ in range(10):
        await here.print(b"x" * 60_000)
    while not viewer.frames or sum(len(frame.data) for frame in viewer.frames) < 600_000:
        await viewer._read()
    async with asyncio.timeout(60):
        await here.server.stop(1012, "restarting")
    assert await viewer.closed() == (1012, "restarting")


async def test_a_silent_viewer_is_pinged_and_then_dropped(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 1.0)
    await here.shell()
    lively = await here.websocket()
    frame = await lively.next()
    assert frame.opcode is Opcode.PING
    await here.websocket()  # says nothing more, not even pong
    await eventually("both are there", lambda: len(here.terminal.viewers) == 2)

    async def answer() -> None:
        while await lively._read():
            pass

    answering = asyncio.create_task(answer())
    await eventually("the silent one is gone", lambda: len(here.terminal.viewers) == 1)
    here.launcher.exit(0)
    await answering
    assert lively.protocol.close_rcvd is not None
    assert lively.protocol.close_rcvd.code == 1000


async def test_a_viewer_whose_host_is_gone_is_dropped_and_a_slow_one_is_not(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.01)
    looks, silent = [0], [0.0]

    def look(_: module.WebSocket) -> float:
        looks[0] += 1
        return silent[0]

    monkeypatch.setattr(module.WebSocket, "unacknowledged_seconds", look)
    await here.shell()
    stuck = WebSocket(await here.client(receive_buffer=4096), "?afterSeq=0", None)
    await stuck.open(ticket())
    for _ in range(10):
        await here.print(b"x" * 60_000)
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.1)
    looks[0] = 0
    await eventually("it was looked at for longer than the silence allowed", lambda: looks[0] > 30)
    assert len(here.terminal.viewers) == 1, "it takes nothing, and is there"
    silent[0] = module.DEAD_SECONDS + 1
    await eventually("it is gone", lambda: len(here.terminal.viewers) == 0)
    assert here.terminal.viewers.dropped["silent"] == 1


async def test_the_kernel_says_how_long_a_host_has_been_silent() -> None:
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        there = await accepted
        there.write(b"x")
        await reader.readexactly(1)
        found = module.WebSocket(reader, writer, lambda _: None).unacknowledged_seconds()
        assert 0 <= found < 60
        for each in (writer, there):
            each.close()
            await each.wait_closed()
