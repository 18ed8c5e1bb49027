from __future__ import annotations

import asyncio
import base64

import pytest
from codesessions_api.gateway import handshake
from codesessions_api.gateway.frames import accept_key
from codesessions_api.gateway.handshake import Handshake
from codesessions_api.problems import Problem
from hypothesis import given
from hypothesis import strategies as st

KEY = base64.b64encode(b"k" * 16).decode()
HEADERS = {
    "host": "pty.test",
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


async def read(raw: bytes) -> Handshake | None:
    reader = asyncio.StreamReader(limit=handshake.MAX_HEAD)
    reader.feed_data(raw)
    reader.feed_eof()
    return await handshake.read(reader)


def shake(path: str = "/cs_abc123", query: str = "", method: str = "GET", **headers: str | None) -> Handshake:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return Handshake(method, path, query, {k: v for k, v in {**HEADERS, **changed}.items() if v is not None})


async def test_a_head_is_read() -> None:
    found = await read(b"GET /pty/cs%5Fabc?a=1&b= HTTP/1.1\r\nHost: x\r\nX-A: 1 \r\nx-a:2\r\n\r\nrest")
    assert found == Handshake("GET", "/pty/cs_abc", "a=1&b=", {"host": "x", "x-a": "1, 2"})


@pytest.mark.parametrize("raw", [b"", b"GET / HTTP/1.1\r\nHost:"])
async def test_who_hangs_up_gets_no_answer(raw: bytes) -> None:
    assert await read(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.0\r\nHost: x",
        b"GET / HTTP/1.1",
        b"GET  / HTTP/1.1\r\nHost: x",
        b"GET x HTTP/1.1\r\nHost: x",
        b"GET http://x/ HTTP/1.1\r\nHost: x",
        b"GET /\t HTTP/1.1\r\nHost: x",
        b"GET /a#b HTTP/1.1\r\nHost: x",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: x",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\nX-API-Key: b",
        b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: a\r\nOrigin: b",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded",
        b"GET / HTTP/1.1\r\nHost : x",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d",
        b"\x16\x03\x01",
    ],
)
async def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(Problem) as caught:
        await read(raw + b"\r\n\r\n")
    assert (caught.value.status, caught.value.code) == (400, "bad_request")


async def test_an_endless_head_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        await read(b"GET / HTTP/1.1\r\nX: " + b"x" * (handshake.MAX_HEAD * 2))
    assert caught.value.status == 431


@given(st.binary(max_size=300))
async def test_any_bytes_are_a_request_or_a_problem(raw: bytes) -> None:
    try:
        found = await read(raw + b"\r\n\r\n")
    except Problem as problem:
        assert problem.status in {400, 431}  # noqa: PT017
    else:
        assert found is not None
        assert "host" in found.headers


@pytest.mark.parametrize(
    ("path", "session"),
    [
        ("/cs_abc123", "cs_abc123"),
        ("/pty/cs_abc123", "cs_abc123"),
        ("/cs_abc123/ws", "cs_abc123"),
        ("/terminals/websocket/cs_abc123", "cs_abc123"),
        ("/cs_abc123/", None),
        ("/cs_abc123/other", None),
        ("/ws", None),
        ("/", None),
    ],
)
def test_the_path_names_the_session(path: str, session: str | None) -> None:
    assert shake(path).session == session


def test_subprotocols_and_tickets_are_told_apart() -> None:
    offered = "v5.channel.k8s.io, ticket.codesessions.dev.abc.def,  tty ,, made-up.v9"
    found = shake(sec_websocket_protocol=offered)
    assert found.protocols == ["v5.channel.k8s.io", "tty", "made-up.v9"]
    assert found.ticket == "abc.def"
    assert shake(authorization="bearer x.y").ticket == "x.y"
    assert shake(authorization="Basic eDp5").ticket is None
    assert shake().ticket is None


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"method": "POST"}, 405),
        ({"upgrade": None}, 426),
        ({"upgrade": "h2c"}, 426),
        ({"connection": "close"}, 426),
        ({"sec_websocket_version": "12"}, 426),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": "short"}, 400),
        ({"sec_websocket_key": KEY + "\n"}, 400),
        ({"sec_websocket_protocol": "tty, " + "a" * handshake.MAX_PASSED}, 431),
    ],
)
def test_an_improper_handshake_is_refused(changes: dict[str, str | None], status: int) -> None:
    with pytest.raises(Problem) as caught:
        shake(**changes).check()  # type: ignore[arg-type]
    assert caught.value.status == status


def test_a_proper_one_passes() -> None:
    shake(connection="Upgrade", upgrade="WebSocket").check()


@pytest.mark.parametrize(
    "query",
    [
        *("afterSeq=-1", "afterSeq=", "afterSeq=1&afterSeq=2", "a=1&a=2", "&".join("x" * 40)),
        *("a=" + "x" * handshake.MAX_PASSED, "a=" + "!" * (handshake.MAX_PASSED // 2)),  # "!" becomes "%21"
    ],
)
def test_a_query_that_is_sure_to_be_refused_is(query: str) -> None:
    found = shake(query=query if "&x" not in query else "&".join(f"a{number}=" for number in range(40)))
    with pytest.raises(Problem) as caught:
        found.parameters()
    assert (caught.value.status, caught.value.code) == (422, "invalid_parameter")


def test_the_sidecar_gets_key_subprotocols_query_and_ticket_and_nothing_else() -> None:
    request = shake(
        query="afterSeq=7&dialect=raw&x=%0D%0AX-Evil:%201",
        cookie="a=b",
        x_api_key="csk_secret",
        origin="https://x",
        sec_websocket_extensions="permessage-deflate",
        sec_websocket_protocol="tty, ticket.codesessions.dev.t.t, v4.channel.k8s.io",
    )
    lines = handshake.for_sidecar(request, "10.0.0.7:7681", "our.ticket").decode().split("\r\n")
    assert lines == [
        "GET /v1/attach?afterSeq=7&dialect=raw&x=%0D%0AX-Evil%3A+1 HTTP/1.1",
        "Host: 10.0.0.7:7681",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        "Authorization: Bearer our.ticket",
        "Sec-WebSocket-Protocol: tty, v4.channel.k8s.io",
        "",
        "",
    ]


def accepted(*more: str, first: str = "HTTP/1.1 101 Switching Protocols", accept: str | None = None) -> bytes:
    lines = [first, "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept or accept_key(KEY)}"]
    return ("\r\n".join([*lines, *more]) + "\r\n\r\n").encode()


@pytest.mark.parametrize("protocol", ["tty", "v5.channel.k8s.io", "made-up.v9"])
def test_the_sidecars_choice_goes_back_whatever_it_is(protocol: str) -> None:
    request = shake(sec_websocket_protocol=f"other, {protocol}")
    assert handshake.chosen_protocol(request, accepted(f"Sec-WebSocket-Protocol: {protocol}")) == protocol
    assert handshake.chosen_protocol(request, accepted()) is None
    answer = handshake.for_client(request, protocol, "id-1").decode()
    assert f"Sec-WebSocket-Protocol: {protocol}\r\n" in answer
    assert f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\n" in answer


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        accepted(first="HTTP/1.1 200 OK"),
        accepted(first="HTTP/1.1 401 Unauthorized"),
        accepted(accept="AAAA"),
        accepted("Sec-WebSocket-Protocol: not-offered"),
        accepted("Sec-WebSocket-Extensions: permessage-deflate"),
        accepted("no colon"),
    ],
)
def test_what_is_no_acceptance_is_none(answer: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any
        handshake.chosen_protocol(shake(sec_websocket_protocol="tty"), answer)


def test_a_request_that_the_sidecar_does_not_like_is_the_clients_problem() -> None:
    with pytest.raises(Problem) as caught:
        handshake.chosen_protocol(shake(), accepted(first="HTTP/1.1 400 Bad Request"))
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
