from __future__ import annotations

import asyncio
import json

import pytest
from codesessions_sidecar.http import (
    MAX_HEAD,
    HttpError,
    Request,
    Response,
    body_length,
    parse_head,
    problem,
    read_body,
    read_head,
    render,
)
from hypothesis import given
from hypothesis import strategies as st


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_HEAD)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_a_head_is_taken_apart() -> None:
    request = parse_head(head("GET /v1/output?after=3&x=%20 HTTP/1.1", "Host: x", "X-A: 1", "x-a:\t2 "))
    assert (request.method, request.path) == ("GET", "/v1/output")
    assert request.query == {"after": "3", "x": " "}
    assert request.headers == {"host": "x", "x-a": "1, 2"}
    assert request.keep_alive


@pytest.mark.parametrize(
    ("lines", "keep"),
    [
        (("GET / HTTP/1.1", "Host: x", "Connection: Close"), False),
        (("GET / HTTP/1.1", "Host: x", "Connection: upgrade, close"), False),
        (("GET / HTTP/1.0",), False),
    ],
)
def test_a_connection_is_kept_unless_it_is_said(lines: tuple[str, ...], keep: bool) -> None:
    assert parse_head(head(*lines)).keep_alive is keep


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("",), 400),
        (("GET /",), 400),
        (("GET  / HTTP/1.1", "Host: x"), 400),
        (("GET / HTTP/1.1 ", "Host: x"), 400),
        (("GET x HTTP/1.1", "Host: x"), 400),
        (("GET http://x/ HTTP/1.1", "Host: x"), 400),
        (("GET /é HTTP/1.1", "Host: x"), 400),
        (("GE(T / HTTP/1.1", "Host: x"), 400),
        (("GET / HTTP/2.0", "Host: x"), 505),
        (("GET / HTTP/1.1",), 400),
        (("GET / HTTP/1.1", "Host: x", "Host: y"), 400),
        (("GET / HTTP/1.1", "Host: x", "Content-Length: 1", "content-length: 1"), 400),
        (("GET / HTTP/1.1", "Host: x", "no colon"), 400),
        (("GET / HTTP/1.1", "Host: x", "Name : x"), 400),
        (("GET / HTTP/1.1", "Host: x", " folded"), 400),
        (("GET / HTTP/1.1", "Host: x", "A: b\rc"), 400),
        (("GET / HTTP/1.1", "Host: x", "A: b\nC: d"), 400),
        (("GET / HTTP/1.1", "Host: x", "A: \0"), 400),
        (("GET /?" + "&".join(f"a{n}=1" for n in range(33)) + " HTTP/1.1", "Host: x"), 400),
        (("GET /?a HTTP/1.1", "Host: x"), 400),
    ],
)
def test_what_is_no_request_is_refused(lines: tuple[str, ...], status: int) -> None:
    with pytest.raises(HttpError) as refused:
        parse_head(head(*lines))
    assert refused.value.status == status


@given(st.binary())
def test_no_bytes_break_the_parser(data: bytes) -> None:
    try:
        parse_head(data + b"\r\n\r\n")
    except HttpError as error:
        refused = error.status
    else:
        refused = 400
    assert refused in {400, 505}


@given(st.binary(max_size=200))
async def test_no_bytes_break_the_reader(data: bytes) -> None:
    found: bytes | None = None
    try:
        found = await read_head(stream(data))
    except HttpError as error:
        refused = error.status
    else:
        refused = 400
    assert refused == 400
    assert found is None or found.endswith(b"\r\n\r\n")


async def test_requests_follow_one_another() -> None:
    one, two = head("GET /1 HTTP/1.1", "Host: x"), head("GET /2 HTTP/1.1", "Host: x")
    reader = stream(one + b"\r\n" + two)
    assert await read_head(reader) == one
    assert await read_head(reader) == two
    assert await read_head(reader) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * MAX_HEAD,
        b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEAD // 6 + 1) + b"\r\n",
    ],
)
async def test_a_head_is_bounded(data: bytes) -> None:
    with pytest.raises(HttpError) as refused:
        await read_head(stream(data))
    assert refused.value.status == 431


def request(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/", {}, named, b"", keep_alive=True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_length": "-1"}, 400),
        ({"content_length": "+1"}, 400),
        ({"content_length": "1_0"}, 400),
        ({"content_length": "²"}, 400),
        ({"content_length": ""}, 400),
        ({"content_length": "1, 1"}, 400),
        ({"content_length": "11"}, 413),
        ({"content_length": "9" * 5000}, 413),
        ({"content_length": "1", "transfer_encoding": "chunked"}, 400),
        ({"transfer_encoding": "gzip, chunked"}, 501),
    ],
)
def test_what_cannot_be_a_length_is_refused(headers: dict[str, str], status: int) -> None:
    with pytest.raises(HttpError) as refused:
        body_length(request(**headers), 10)
    assert refused.value.status == status


async def test_a_body_has_its_length() -> None:
    assert await read_body(request(), stream(b"next"), 10) == b""
    assert await read_body(request(content_length="3"), stream(b"abcnext"), 10) == b"abc"


@given(st.lists(st.binary(min_size=1, max_size=50)), st.booleans())
async def test_chunks_join(pieces: list[bytes], extras: bool) -> None:
    extension, trailer = (b";a=b", b"X: y\r\n") if extras else (b"", b"")
    sent = b"".join(b"%X%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    reader = stream(sent + b"0\r\n" + trailer + b"\r\nnext")
    assert await read_body(request(transfer_encoding="chunked"), reader, 4096) == b"".join(pieces)
    assert await reader.read() == b"next"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"+1\r\na\r\n", 400),
        (b"0x1\r\na\r\n", 400),
        (b"1_\r\na\r\n", 400),
        (b"-1\r\n", 400),
        (b"\r\n", 400),
        (b"1\r\nab\r\n", 400),
        (b"1" * 20000 + b"\r\n", 400),
        (b"FFFFFFFFFFFFFFFF\r\n", 413),
        (b"5\r\nabcde\r\n6\r\nabcdef\r\n", 413),
    ],
)
async def test_malformed_chunks_are_refused(sent: bytes, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        await read_body(request(transfer_encoding="chunked"), stream(sent), 10)
    assert refused.value.status == status


def test_a_refusal_is_a_problem_document() -> None:
    response = problem(HttpError(429, "input_queue_full", "later", headers={"Retry-After": "1"}))
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "later",
        "code": "input_queue_full",
    }
    sent = render(response, keep_alive=True).decode()
    assert sent.startswith("HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\n")
    assert "Retry-After: 1\r\n" in sent
    assert "Content-Length" not in render(Response(204), keep_alive=True).decode()
    assert render(Response(200, b"abc"), keep_alive=False, with_body=False).endswith(b"Connection: close\r\n\r\n")
