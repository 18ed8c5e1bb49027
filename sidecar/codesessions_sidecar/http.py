"""HTTP/1.1 as far as the sidecar needs it (RFC 9112): strict, bounded, nothing clever."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

MAX_HEAD = 16 << 10
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"/[!-\"$-~]*")  # origin-form (RFC 9112, section 3.2.1), printable, without a fragment
_BAD_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ONCE = frozenset({"content-length", "transfer-encoding", "authorization", "host"})


class HttpError(Exception):
    """A refusal that becomes a problem document (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})


@dataclass
class Request:
    """A request's head, and its body once it was read. Header names are lower case. `gone`: the client hung up."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    keep_alive: bool
    body: bytes = b""
    gone: Callable[[], bool] = lambda: False


@dataclass
class Response:
    """What to answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    """Parts in place of `body`, each asked for when the one before has been sent. They are closed at the end."""


def problem(error: HttpError) -> Response:
    """A refusal as a problem document."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    return Response(error.status, json.dumps(document).encode(), "application/problem+json", error.headers)


def json_response(value: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def number(request: Request, name: str, otherwise: int, most: int, *, least: int = 0) -> int:
    """A query parameter that is a whole number. Raises HttpError 400."""
    text = request.query.get(name)
    if text is None:
        return otherwise
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not least <= int(text) <= most:
        raise HttpError(400, "bad_parameter", f"{name} must be a whole number from {least} to {most}")
    return int(text)


def one_of(request: Request, name: str, known: Sequence[str]) -> str | None:
    """A query parameter that is one of some words; None without it. Raises HttpError 400."""
    value = request.query.get(name)
    if value is not None and value not in known:
        raise HttpError(400, "bad_parameter", f"{name} must be {' or '.join(known)}")
    return value


def tokens(value: str) -> list[str]:
    """The words of a comma-separated header, lower case."""
    return [word.strip().lower() for word in value.split(",") if word.strip()]


def parse_head(raw: bytes) -> Request:
    """Parse a request line and its headers, with the empty line. Raises HttpError 400 or 505."""
    lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    try:
        method, target, version = lines[0].split(b" ")
        if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
            raise ValueError("malformed request line")  # noqa: TRY301
        headers = _headers(lines[1:])
        path, _, text = target.decode("ascii").partition("?")
        query = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=32))
    except ValueError as error:
        raise HttpError(400, "bad_request", "this is not an HTTP/1.1 request") from error
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise HttpError(505, "bad_version", "this server speaks HTTP/1.1")
    if version == b"HTTP/1.1" and "host" not in headers:
        raise HttpError(400, "bad_request", "an HTTP/1.1 request needs a Host")
    keep = version == b"HTTP/1.1" and "close" not in tokens(headers.get("connection", ""))
    return Request(method.decode("ascii"), path, query, headers, raw, keep)


def _headers(lines: list[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or _BAD_IN_VALUE.search(value):
            raise ValueError("malformed header")
        key, text = name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")
        if key in found:
            if key in _ONCE:
                raise ValueError("repeated header")
            text = f"{found[key]}, {text}"
        found[key] = text
    return found


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """The bytes of a request's head with the empty line; None at the end of the connection.

    Raises HttpError 400 or 431.
    """
    raw = b""
    try:
        while raw in {b"", b"\r\n"}:  # an empty line before a request is skipped (RFC 9112, section 2.2)
            raw = await reader.readuntil(b"\r\n")
        return raw + await _rest_of_head(reader, MAX_HEAD - len(raw))
    except asyncio.IncompleteReadError as error:
        if (raw + error.partial).strip():
            raise HttpError(400, "bad_request", "the request ended in its middle") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise HttpError(431, "headers_too_large", f"the request's head is over {MAX_HEAD} bytes") from error


async def _rest_of_head(reader: asyncio.StreamReader, room: int) -> bytes:
    lines: list[bytes] = []
    while not lines or lines[-1] != b"\r\n":
        lines.append(await reader.readuntil(b"\r\n"))
        room -= len(lines[-1])
        if room < 0:
            raise asyncio.LimitOverrunError("the head is too long", 0)
    return b"".join(lines)


def body_length(request: Request, limit: int) -> int | None:
    """Bytes of the body; None: chunked. Raises HttpError 400, 413 or 501."""
    coding, length = request.headers.get("transfer-encoding"), request.headers.get("content-length")
    if coding is not None:
        if length is not None:  # the seed of request smuggling (RFC 9112, section 6.3)
            raise HttpError(400, "bad_request", "Content-Length and Transfer-Encoding together")
        if coding.lower() != "chunked":
            raise HttpError(501, "not_implemented", f"transfer coding {coding!r} is not known here")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()):
        raise HttpError(400, "bad_request", "Content-Length is not a number")
    if len(length) > 18 or int(length) > limit:
        raise HttpError(413, "too_large", f"the body is over {limit} bytes")
    return int(length)


async def read_body(request: Request, reader: asyncio.StreamReader, limit: int) -> bytes:
    """The body, by Content-Length or chunked. Raises HttpError 400, 413 or 501."""
    length = body_length(request, limit)
    try:
        return await _read_chunked(reader, limit) if length is None else await reader.readexactly(length)
    except asyncio.LimitOverrunError as error:
        raise HttpError(400, "bad_request", "malformed chunk") from error


async def _read_chunked(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while True:
        size_text = (await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0].rstrip(b" \t")
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", size_text):
            raise HttpError(400, "bad_request", "malformed chunk")
        size = int(size_text, 16)
        if len(body) + size > limit:
            raise HttpError(413, "too_large", f"the body is over {limit} bytes")
        if size == 0:
            await _rest_of_head(reader, MAX_HEAD)  # trailers, which nobody wants
            return bytes(body)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise HttpError(400, "bad_request", "malformed chunk")


def render(response: Response, *, keep_alive: bool, with_body: bool = True) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    if response.stream is not None:  # HTTP/1.0, which has no chunks, is not spoken by anyone who asks for these
        lines += [f"Content-Type: {response.content_type}", "Transfer-Encoding: chunked"]
    elif response.status != 204:
        lines += [f"Content-Type: {response.content_type}", f"Content-Length: {len(response.body)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += ["Cache-Control: no-store", f"Connection: {'keep-alive' if keep_alive else 'close'}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (response.body if with_body else b"")


def render_part(part: bytes) -> bytes:
    """A part of a streamed answer; none ends it (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(part), part)
