"""The gateway: tickets that are none, pages of others, frames and heads that never end, what is smuggled."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
import struct
import time
from dataclasses import replace
from typing import Any

import pytest
from attacks.conftest import Organization, lives
from codesessions_crds.credentials import Ticket, mint_ticket
from support.session import Session
from support.terminal import OURS, attach
from websockets.exceptions import ConnectionClosed, InvalidStatus

OFFER = "ticket.codesessions.dev."


def key_of(organization: Organization, session: Session) -> bytes:
    """The session's own key: whoever reads Secrets of its namespace has it."""
    secret = organization.kubectl.get("secret", session.pod)
    assert secret is not None
    return bytes.fromhex(base64.b64decode(secret["data"]["workspace-key"]).decode())


def ticket_of(session: Session, **changed: Any) -> Ticket:
    uid = session.resource()["metadata"]["uid"]
    return replace(Ticket(session.id, uid, ("read", "write"), int(time.time()) + 60, "user_attack"), **changed)


def endpoint(session: Session) -> str:
    return str(session.get()["ptyEndpoint"])


async def refused(organization: Organization, session: Session, ticket: str) -> bool:
    """Whether a ticket opens nothing, in both of the places it may be in."""
    for offered, headers in (((OURS, OFFER + ticket), {}), ((OURS,), {"Authorization": f"Bearer {ticket}"})):
        try:
            socket = await attach(organization.access, endpoint(session), *offered, key="", headers=headers)
        except InvalidStatus as error:
            if error.response.status_code != 401:
                return False
        else:
            await socket.close()
            return False
    return True


async def test_a_ticket_is_good_for_its_session_alone(
    red: Organization, blue: Organization, victim: Session, hostile: Session
) -> None:
    mine, theirs = key_of(blue, hostile), key_of(red, victim)
    assert mine != theirs  # a key each
    assert not await refused(red, victim, mint_ticket(theirs, ticket_of(victim)))  # or this test says nothing
    good = mint_ticket(theirs, ticket_of(victim))
    body, _, signature = good.partition(".")
    forged = {
        "another session's": mint_ticket(mine, ticket_of(hostile)),
        "signed with another key": mint_ticket(mine, ticket_of(victim)),
        "about another uid": mint_ticket(theirs, ticket_of(victim, uid=hostile.resource()["metadata"]["uid"])),
        "about another session": mint_ticket(theirs, ticket_of(victim, session_id=hostile.id)),
        "expired": mint_ticket(theirs, ticket_of(victim, expires=int(time.time()) - 1)),
        "of a key that never was": mint_ticket(theirs, ticket_of(victim, key="csk-nosuch00", since=int(time.time()))),
        "unsigned": f"{body}.",
        "without a signature": body,
        "signed with nothing": mint_ticket(b"", ticket_of(victim)),
        "cut": good[:-1],
        "another body": f"{mint_ticket(mine, ticket_of(victim)).partition('.')[0][:-2]}xx.{signature}",
        "not base64": "\u00ff.\u00ff".encode("latin-1").hex(),
        "JSON Web Token": base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + f".{body}.",
        "long": "a" * 8000 + "." + signature,
    }
    answers = await asyncio.gather(*(refused(red, victim, text) for text in forged.values()))
    assert [name for name, is_refused in zip(forged, answers, strict=True) if not is_refused] == []


async def test_a_ticket_can_be_used_again_only_while_it_lasts(red: Organization, victim: Session) -> None:
    key = key_of(red, victim)
    expires = int(time.time()) + 10
    ticket = mint_ticket(key, ticket_of(victim, expires=expires))
    assert not await refused(red, victim, ticket)
    await asyncio.sleep(expires + 1 - time.time())
    assert await refused(red, victim, ticket)


async def test_a_ticket_does_not_give_what_it_does_not_say(red: Organization, victim: Session) -> None:
    key = key_of(red, victim)
    ticket = mint_ticket(key, ticket_of(victim, scope=("write",)))
    with pytest.raises(InvalidStatus) as caught:
        await attach(red.access, endpoint(victim), OURS, OFFER + ticket, key="")
    assert caught.value.response.status_code == 403
    ticket = mint_ticket(key, ticket_of(victim, scope=("read",)))
    marker = f"typed-{time.monotonic_ns()}"
    async with await attach(red.access, endpoint(victim), OURS, OFFER + ticket, key="") as socket:
        await socket.send(json.dumps({"type": "input", "text": f"echo {marker}\n"}))
        async with asyncio.timeout(60):
            while json.loads(await socket.recv())["type"] != "error":
                pass
    assert marker not in victim.run("true")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://localhost.evil.example", "https://evil.example#localhost", "x"]
)
async def test_another_sites_page_opens_nothing(red: Organization, victim: Session, origin: str) -> None:
    async with await attach(red.access, endpoint(victim), headers={"Origin": origin}) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            async with asyncio.timeout(60):
                await socket.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4403


async def hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
    for writer in writers:
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 5)


async def open_raw(
    organization: Organization, *more: str, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A handshake by hand, through the ingress."""
    host = organization.access.url.removeprefix("https://")
    name, _, port = host.partition(":")
    tls = ssl.create_default_context(cafile=str(organization.access.ca))
    reader, writer = await asyncio.open_connection(name, int(port or 443), ssl=tls)
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *more,
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    return reader, writer


async def test_a_frame_that_says_it_is_endless_ends_the_connection(red: Organization, victim: Session) -> None:
    """Of a length of 2^62, of a masked one over 1 MiB, and of fragments without an end: 1009 or 1002, and no memory."""
    path = "/" + victim.id
    heads = [struct.pack(">BBQ", 0x82, 0xFF, 1 << 62), struct.pack(">BBQ", 0x82, 0xFF, (1 << 20) + 1)]
    for head in [*heads, bytes([0x82, 0x01, 0x41]), bytes([0xF2, 0x81])]:
        reader, writer = await open_raw(red, f"X-API-Key: {red.access.api_key}", path=path)
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            writer.write(head + bytes(8))
            seen = await reader.read()  # to the end
        assert b"\x03\xf1" in seen or b"\x03\xea" in seen  # 1009, 1002
        await hang_up(writer)
    reader, writer = await open_raw(red, f"X-API-Key: {red.access.api_key}", path=path)
    async with asyncio.timeout(60):
        await reader.readuntil(b"\r\n\r\n")
        for number in range(18):  # just over 1 MiB, so that nothing is on its way when it ends
            writer.write(struct.pack(">BBH", 0x02 if number == 0 else 0x00, 0xFE, 60_000) + bytes(60_004))
        assert b"\x03\xf1" in await reader.read()
    await hang_up(writer)
    lives(victim)


async def test_heads_that_never_end_keep_nobody_out(red: Organization, victim: Session) -> None:
    """Slowloris: 100 connections that send a head a byte at a time, while others are served."""
    started: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    tls = ssl.create_default_context(cafile=str(red.access.ca))
    name, _, port = red.access.url.removeprefix("https://").partition(":")
    for _ in range(100):
        reader, writer = await asyncio.open_connection(name, int(port or 443), ssl=tls)
        writer.write(b"GET /" + victim.id.encode() + b" HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        started.append((reader, writer))
    try:
        for _ in range(5):
            for _, writer in started:
                writer.write(b"a")
            async with await attach(red.access, endpoint(victim), OURS) as socket:
                async with asyncio.timeout(60):
                    assert json.loads(await socket.recv())["type"] == "hello"
            assert (await asyncio.to_thread(red.client.call, "GET", victim.path))[0] == 200
    finally:
        await hang_up(*(writer for _, writer in started))


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/{id}%0d%0aX-Evil:%201", ()),
        ("/{id}%00", ()),
        ("/{id}?afterSeq=0%0d%0aHost:%20evil", ()),
        ("/{id}@169.254.169.254", ()),
        ("//169.254.169.254/{id}", ("X-Forwarded-Host: 169.254.169.254",)),
        ("/{id}", ("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Original-URL: /metrics")),
        ("/{id}", ("Authorization: Bearer x", "X-Real-IP: 127.0.0.1")),
        ("/{id}", ("Transfer-Encoding: chunked", "Content-Length: 5")),
    ],
)
async def test_nothing_is_smuggled_without_a_key(
    red: Organization, victim: Session, path: str, more: tuple[str, ...]
) -> None:
    reader, writer = await open_raw(red, *more, path=path.format(id=victim.id))
    async with asyncio.timeout(60):
        answer = await reader.readline()
    await hang_up(writer)
    assert answer.split(b" ")[1] in {b"400", b"401", b"403", b"404", b"422"}, answer


@pytest.mark.parametrize("path", ["/metrics", "/readyz/../metrics", "/%6detrics", "/cs_x/../metrics", "//metrics"])
async def test_figures_are_not_public(red: Organization, path: str) -> None:
    reader, writer = await open_raw(red, path=path)
    async with asyncio.timeout(60):
        answer = await reader.readline()
    await hang_up(writer)
    assert answer.split(b" ")[1] not in {b"200", b"500", b"502"}, answer
