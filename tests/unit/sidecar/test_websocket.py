"""Which messages are taken the moment they come, and that none overtakes another."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from codesessions_sidecar.connection import Connection
from codesessions_sidecar.dialects.base import Message
from codesessions_sidecar.http import MAX_HEAD, read_head
from codesessions_sidecar.websocket import WebSocket
from unit.sidecar import doubles
from unit.sidecar.doubles import eventually

KEY = b"\x82\x81\0\0\0\0"
"""All of a frame but its one byte."""


class Counting(Connection):
    """A connection that says how much has come."""

    def __init__(self, ends: Ends) -> None:
        super().__init__(MAX_HEAD, lambda: None, ends.serve)
        self._ends = ends
        ends.connection = self

    def buffer_updated(self, nbytes: int) -> None:
        super().buffer_updated(nbytes)
        self._ends.seen += nbytes


class Ends:
    """Both ends. `taken`: what came at once; `later`: what came by `messages`; `all`: either, in order."""

    connection: Counting

    def __init__(self) -> None:
        self.seen = 0
        """Bytes that have reached the server."""
        self.taken: list[bytes] = []
        self.later: list[bytes] = []
        self.all: list[bytes] = []
        self.willing = True
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.over = asyncio.Event()

    def take(self, message: Message) -> bool:
        if self.willing:
            self.taken.append(message.data)
            self.all.append(message.data)
        return self.willing

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = WebSocket(reader, writer, lambda _: None)
        head = await read_head(reader)
        assert head is not None
        assert await there.handshake(head)
        there.at_once(self.take)
        async for message in there.messages():
            self.later.append(message.data)
            self.all.append(message.data)
            await self.may_go_on.wait()
        writer.close()
        await writer.wait_closed()
        self.over.set()

    async def send(self, client: doubles.WebSocket, *parts: bytes) -> None:
        """Send, each part when the one before has come."""
        for part in parts:
            wanted = self.seen + len(part)
            client.raw(part)
            await eventually("it has come", lambda wanted=wanted: self.seen >= wanted)  # type: ignore[misc]

    def read(self, *parts: bytes) -> None:
        """As if these had been read in one turn of the loop, one after the other."""
        for part in parts:
            self.connection.get_buffer(-1)[: len(part)] = part
            self.connection.buffer_updated(len(part))

    async def come(self, count: int) -> None:
        await eventually(f"{count} messages", lambda: len(self.all) >= count)


@asynccontextmanager
async def open_ends() -> AsyncIterator[tuple[Ends, doubles.WebSocket]]:
    ends = Ends()
    server = await asyncio.get_running_loop().create_server(lambda: Counting(ends), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        client = doubles.WebSocket(doubles.Client(reader, writer), "", None)
        await client.open("any")
        try:
            yield ends, client
        finally:
            ends.may_go_on.set()
            writer.close()
            await writer.wait_closed()
            await ends.over.wait()


async def test_a_key_is_taken_at_once() -> None:
    async with open_ends() as (ends, client):
        for number in range(3):
            await ends.send(client, KEY + b"abc"[number : number + 1])
            await ends.come(number + 1)
        assert ends.taken[-2:] == [b"b", b"c"]  # the first may come before anybody listens
        assert ends.all == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    "parts",
    [
        (KEY[:1], KEY[1:] + b"x"),
        (KEY[:3], KEY[3:] + b"x"),
        (KEY, b"x"),
        (b"\x02\x81\0\0\0\0x", b"\x80\x80\0\0\0\0"),  # in two frames
        (b"\x02\x81\0\0\0\0x", b"\x89\x80\0\0\0\0", b"\x80\x80\0\0\0\0"),  # with a ping between
    ],
)
async def test_after_a_message_in_pieces_keys_are_taken_at_once_again(parts: tuple[bytes, ...]) -> None:
    async with open_ends() as (ends, client):
        await ends.send(client, *parts)
        await ends.come(1)
        assert ends.later == [b"x"]
        await ends.send(client, KEY + b"y")
        await ends.come(2)
        assert ends.taken == [b"y"]


async def test_fragments_cost_no_more_than_what_is_in_them() -> None:
    async with open_ends() as (ends, client):
        empty = b"\0\x80\0\0\0\0"
        await ends.send(client, b"\x02\x81\0\0\0\0x", empty * 10_000)  # the protocol bounds their sum, not their number
        tracemalloc.start()
        try:
            for _ in range(10):
                await ends.send(client, empty * 10_000)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert grown < 400_000  # a list of them has 800,000
        await ends.send(client, b"\x80\x81\0\0\0\0y")
        await ends.come(1)
        assert ends.later == [b"xy"]


async def test_nothing_is_taken_before_what_came_first_is_done_with() -> None:
    async with open_ends() as (ends, client):
        ends.may_go_on.clear()
        ends.willing = False
        await ends.send(client, KEY + b"a")
        await ends.come(1)
        ends.willing = True
        await ends.send(client, KEY + b"b", KEY + b"c")
        assert ends.all == [b"a"]
        ends.may_go_on.set()
        await ends.come(3)
        assert ends.later == [b"a", b"b", b"c"]


async def test_nothing_overtakes_what_was_read_in_the_same_turn() -> None:
    async with open_ends() as (ends, client):
        await ends.send(client, KEY + b"a")
        await ends.come(1)
        ends.read(KEY + b"b", KEY + b"c" + KEY + b"d", KEY + b"e")
        await ends.come(5)
        assert b"".join(ends.all) == b"abcde"
        assert ends.later[-3:] == [b"c", b"d", b"e"]


async def test_a_payload_that_looks_like_a_frame_is_none() -> None:
    async with open_ends() as (ends, client):
        await ends.send(client, b"\x82\x87\0\0\0\0", KEY + b"z")
        await ends.come(1)
        assert ends.all == [KEY + b"z"]


async def test_a_whole_message_within_another_is_against_the_protocol() -> None:
    async with open_ends() as (ends, client):
        await ends.send(client, b"\x02\x81\0\0\0\0x", KEY + b"y")
        assert (await client.closed())[0] == 1002
        assert ends.all == []


async def test_however_the_bytes_are_cut_the_order_stays() -> None:
    dice = random.Random(7)
    frames = [KEY + bytes((97 + number % 26,)) for number in range(200)]
    for place in range(5, 200, 11):
        frames[place] = b"\x82\xfe\0\xc8\0\0\0\0" + b"L" * 200
    wanted = [each[6:] if len(each) == 7 else each[8:] for each in frames]
    data = b"".join(frames)
    async with open_ends() as (ends, client):
        while data:
            count = dice.choice((1, 3, 7, 7, 7, 14, 20, 300))
            client.raw(data[:count])
            data = data[count:]
            if dice.random() < 0.7:
                await asyncio.sleep(0)
        await ends.come(len(wanted))
        assert ends.all == wanted
