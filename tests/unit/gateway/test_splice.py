"""Bytes through the splice: exact, held back, and ended where a frame ends."""

from __future__ import annotations

import asyncio
import hashlib
import os

import pytest
from codesessions_api.gateway import splice
from codesessions_api.gateway.frames import FrameScanner, close_frame
from hypothesis import given
from hypothesis import strategies as st
from support.gateway import BINARY, CLOSE, PING, PONG, TEXT, Rig, close_of, frame
from support.restapi import until


async def test_bytes_are_passed_on_as_they_are(rig: Rig) -> None:
    """Not re-framed: what no WebSocket end would write comes through too."""
    client, terminal = await rig.attached()
    odd = bytes((0x82, 126, 0, 3)) + b"abc" + bytes((0x02, 0)) + bytes((0x89, 2)) + b"hi" + bytes((0x80, 1)) + b"z"
    for byte in odd:
        terminal.writer.write(bytes((byte,)))
        await terminal.writer.drain()
    assert await asyncio.wait_for(client.reader.readexactly(len(odd)), 60) == odd
    client.writer.write(b"\x82\xfe\x00\x01mask!")
    assert await asyncio.wait_for(terminal.reader.readexactly(9), 60) == b"\x82\xfe\x00\x01mask!"


async def test_much_comes_through_both_ways_unharmed(rig: Rig) -> None:
    client, terminal = await rig.attached()
    down, up = (b"".join(frame(BINARY, os.urandom(60_000)) for _ in range(100)) for _ in range(2))

    async def take(reader: asyncio.StreamReader, size: int) -> str:
        return hashlib.sha256(await reader.readexactly(size)).hexdigest()

    terminal.writer.write(down)
    client.writer.write(up)
    async with asyncio.timeout(60):
        seen = await asyncio.gather(take(client.reader, len(down)), take(terminal.reader, len(up)))
    assert seen == [hashlib.sha256(each).hexdigest() for each in (down, up)]


async def test_pings_go_end_to_end(rig: Rig) -> None:
    client, terminal = await rig.attached()
    await terminal.send(PING, b"t")
    assert await client.next() == (PING, b"t")
    await client.send(PONG, b"t", masked=True)
    assert await terminal.next() == (PONG, b"t")


@pytest.mark.parametrize("direction", ["down", "up"])
async def test_who_does_not_read_holds_the_other_back(rig: Rig, direction: str) -> None:
    client, terminal = await rig.attached()
    writer = terminal.writer if direction == "down" else client.writer
    sent, block = 0, frame(BINARY, b"x" * 60_000)
    try:
        while sent < 64 << 20:
            writer.write(block)
            sent += len(block)
            async with asyncio.timeout(0.5):
                await writer.drain()
    except TimeoutError:
        pass
    assert sent < 48 << 20  # what the four sockets hold (tcp(7): up to 6 MiB to read, 4 to write, each), and no more
    metrics = rig.gateway.metrics
    passed = metrics._typed._value.get() if direction == "up" else metrics._shown._value.get()
    assert passed < sent


async def test_the_terminals_end_is_the_clients(rig: Rig) -> None:
    client, terminal = await rig.attached()
    await terminal.send(BINARY, b"bye")
    await terminal.send(CLOSE, b"\x03\xe8exit 7")
    assert await client.next() == (BINARY, b"bye")
    kind, payload = await client.next()
    assert (kind, close_of(payload)) == (CLOSE, (1000, "exit 7"))
    await client.send(CLOSE, payload, masked=True)
    assert await terminal.next() == (CLOSE, payload)
    await terminal.close()
    assert await client.rest() == b""
    await until("it is counted", lambda: rig.gateway.metrics.ended.labels("terminal")._value.get() == 1)


async def test_the_clients_close_is_answered_by_the_terminal(rig: Rig) -> None:
    client, terminal = await rig.attached()
    await client.send(CLOSE, b"\x03\xe8", masked=True)
    assert await terminal.next() == (CLOSE, b"\x03\xe8")
    await terminal.send(CLOSE, b"\x03\xe8")
    await terminal.close()
    assert await client.closed() == (1000, "")


async def test_the_terminals_last_words_reach_a_client_that_hung_up_its_half(rig: Rig) -> None:
    client, terminal = await rig.attached()
    client.writer.write_eof()
    assert await terminal.rest() == b""
    await terminal.send(BINARY, b"last words")
    await terminal.close()
    assert await client.next() == (BINARY, b"last words")


async def test_a_client_that_vanishes_lets_go_of_the_terminal(rig: Rig) -> None:
    client, terminal = await rig.attached()
    client.cut()
    await terminal.rest()
    await terminal.close()
    await until("it is counted", lambda: rig.gateway.metrics.open._value.get() == 0)


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_terminal_that_vanishes_is_1013(rig: Rig, how: str) -> None:
    client, terminal = await rig.attached()
    await terminal.send(BINARY, b"x")
    assert await client.next() == (BINARY, b"x")
    terminal.cut() if how == "reset" else terminal.writer.close()
    assert await client.closed() == (1013, "the terminal went away; connect again")


async def test_a_terminal_that_vanishes_amid_a_frame_leaves_no_false_close(rig: Rig) -> None:
    client, terminal = await rig.attached()
    half = frame(BINARY, b"x" * 1000)[:500]
    terminal.writer.write(half)
    await terminal.writer.drain()
    terminal.writer.close()
    assert await client.rest() == half


async def test_a_cut_waits_for_the_end_of_the_frame(rig: Rig) -> None:
    client, terminal = await rig.attached()
    whole = frame(BINARY, b"x" * 1000)
    terminal.writer.write(whole[:500])
    assert await asyncio.wait_for(client.reader.readexactly(500), 60) == whole[:500]
    stopping = asyncio.create_task(rig.gateway.stop(5))
    await asyncio.sleep(0.05)  # that it waits is what is tried
    assert not stopping.done()
    terminal.writer.write(whole[500:] + frame(TEXT, b"too late"))
    assert await asyncio.wait_for(client.reader.readexactly(504), 60) == whole[500:]
    assert (await client.closed())[0] == 1012
    await stopping


async def test_a_frame_that_does_not_end_is_not_waited_for_long(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "BOUNDARY_SECONDS", 0.05)
    client, terminal = await rig.attached()
    half = frame(BINARY, b"x" * 1000)[:500]
    terminal.writer.write(half)
    assert await asyncio.wait_for(client.reader.readexactly(500), 60) == half
    await asyncio.wait_for(rig.gateway.stop(120), 60)
    assert await client.rest() == b""


async def test_after_a_close_of_the_terminal_no_second_one_is_added(rig: Rig) -> None:
    client, terminal = await rig.attached()
    await terminal.send(CLOSE, b"\x03\xe8exit 0")
    assert (await client.next())[0] == CLOSE
    stopping = asyncio.create_task(rig.gateway.stop(5))
    await terminal.close()
    assert await client.rest() == b""
    await stopping


@given(st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING, 0]), st.binary(max_size=300)), max_size=8), st.data())
def test_a_close_after_feed_to_boundary_is_always_between_frames(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in frames)
    at = data.draw(st.integers(0, len(stream)))
    scanner = FrameScanner()
    scanner.feed(stream[:at])
    end = at + scanner.feed_to_boundary(stream[at:])
    ends, place = [0], 0
    for kind, payload in frames:
        place += len(frame(kind, payload))
        ends.append(place)
    assert end == next(each for each in ends if each >= at)
    assert scanner.at_boundary
    scanner.feed(close_frame(1012, "x"))
    assert scanner.closed


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
def test_any_bytes_are_followed(blocks: list[bytes]) -> None:
    """Whatever comes, and however it is cut, the place is the same."""
    cut, whole = FrameScanner(), FrameScanner()
    for block in blocks:
        cut.feed(block)
    whole.feed(b"".join(blocks))
    assert (cut.at_boundary, cut.closed) == (whole.at_boundary, whole.closed)
