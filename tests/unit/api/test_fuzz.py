"""Broken requests by the hundred, at the real socket: whatever comes, it is never our fault, and nothing hangs."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from codesessions_api import bodies, http11
from support.faults import scaled
from support.restapi import BASE, ONE, Rest, serving

SEEDS = range(4)
EACH = scaled(20, 200)
WORDS = [
    b"\r\n",
    b"\x00",
    b"\xff",
    b"%",
    b"%00",
    b"..",
    b" ",
    b":",
    b"\\ud800",
    b"9" * 30,
    b'"',
    b"{",
    b"[",
    b"-1",
    b"&",
    b"=",
]


def requests(key: str) -> list[bytes]:
    """Good ones, from which bad ones are made."""
    head = f"HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {key}\r\n"
    body = '{"projectName": "p", "projectDescription": "d"}'
    typed = '{"text": "\\u00e9ls\\n", "inputSeq": 7, "writer": "w"}'
    chunked = 'Transfer-Encoding: chunked\r\n\r\n5\r\n{"row\r\n11\r\ns": 1, "cols": 1}\r\n0\r\n\r\n'
    return [
        text.encode()
        for text in (
            f"GET {ONE} {head}\r\n",
            f"GET {BASE}?limit=2&status=running&cursor=abc {head}\r\n",
            f"GET {ONE}/output?afterSeq=1&limit=9 {head}Prefer: wait=0\r\n\r\n",
            f"POST {BASE} {head}Content-Length: {len(body)}\r\n\r\n{body}",
            f"POST {ONE}/input {head}Content-Type: application/json\r\nContent-Length: {len(typed)}\r\n\r\n{typed}",
            f"POST {ONE}/resize {head}{chunked}",
            f"POST {ONE}/tickets {head}\r\n",
            f"DELETE {BASE}/cs_nosuch {head}\r\n",
        )
    ]


def broken(request: bytes, chance: random.Random) -> bytes:
    """The request with something cut, doubled, changed or put in."""
    found = bytearray(request)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) or 1)
        match chance.randrange(5):
            case 0:
                del found[at : at + chance.randint(1, 12)]
            case 1:
                found[at:at] = found[at : at + chance.randint(1, 40)]
            case 2:
                found[at : at + 1] = bytes((chance.randrange(256),))
            case _:
                found[at:at] = chance.choice(WORDS)
    return bytes(found)


async def status_of(rest: Rest, data: bytes) -> int:
    """Status of the answer; 0 if the connection was closed without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    try:
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(12), 60)
        return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
    except ConnectionResetError:
        return 0
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_broken_request_is_never_our_fault(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, met = random.Random(seed), Counter[int]()
    async with serving() as rest:
        await rest.kube.add_session(ip=rest.sidecar.ip)
        good = requests(rest.key)
        for each in good:
            assert await status_of(rest, each) in {200, 201, 204, 404, 422}
        monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
        monkeypatch.setattr(http11, "HEAD_SECONDS", 0.05)
        for _ in range(EACH):
            data = broken(chance.choice(good), chance)
            status = await status_of(rest, data)
            assert status < 500, data
            met[status] += 1
    assert sum(met[status] for status in met if 400 <= status < 500) > EACH / 4, met
