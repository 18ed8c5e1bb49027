"""HTTP/1.1 as far as the sidecar needs it (RFC 9112): strict, bounded, nothing clever."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

MAX_HEAD = 16 << 10
_TOKEN = re.compile(rb"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class HttpError(Exception):
    """A refusal that becomes a problem document (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})


@dataclass
class Request:
    """A request's head, and its body once it was read. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    keep_alive: bool
    body: bytes = b""


@dataclass
class Response:
    """What to answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


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


def parse_head(raw: bytes) -> Request:
    """Parse a request line and its headers. Raises HttpError 400 for what is not HTTP/1.x."""
    lines = raw[:-4].split(b"\r\n")
    try:
        method, target, version = lines[0].decode("ascii").split(" ")
        headers = _headers(lines[1:])
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query), max_num_fields=32))
    except ValueError as error:
        raise HttpError(400, "bad_request", "this is not an HTTP/1.1 request") from error
    if version not in {"HTTP/1.1", "HTTP/1.0"} or not target.startswith("/"):
        raise HttpError(400, "bad_request", "this is not an HTTP/1.1 request")
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Request(method, url.path, query, headers, raw, keep)


def _headers(lines: list[bytes]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.match(name):
            raise ValueError("malformed header")
        key, text = name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")
        if key in found:
            if key in {"content-length", "transfer-encoding", "authorization", "host"}:
                raise ValueError("repeated header")
            text = f"{found[key]}, {text}"
        found[key] = text
    return found


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """The bytes of a request's head with the empty line; None at the end of the connection. Raises HttpError 431."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise HttpError(400, "bad_request", "the request ended in its middle") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise HttpError(431, "headers_too_large", f"the request's head is over {MAX_HEAD} bytes") from error


async def read_body(request: Request, reader: asyncio.StreamReader, limit: int) -> bytes:
    """The body, by Content-Length or chunked. Raises HttpError 400, 411, 413 or 501."""
    coding = request.headers.get("transfer-encoding")
    length = request.headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise HttpError(400, "bad_request", "Content-Length and Transfer-Encoding together")
        if coding.lower() != "chunked":
            raise HttpError(501, "not_implemented", f"transfer coding {coding!r} is not known here")
        return await _read_chunked(reader, limit)
    if length is None:
        return b""
    if not length.isdigit():
        raise HttpError(400, "bad_request", "Content-Length is not a number")
    if int(length) > limit:
        raise HttpError(413, "too_large", f"the body is over {limit} bytes")
    return await reader.readexactly(int(length))


async def _read_chunked(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while True:
        line = (await reader.readuntil(b"\r\n"))[:-2].partition(b";")[0].strip()
        try:
            size = int(line, 16) if len(line) <= 8 else limit + 1
        except ValueError as error:
            raise HttpError(400, "bad_request", "malformed chunk") from error
        if size < 0 or len(body) + size > limit:
            raise HttpError(413, "too_large", f"the body is over {limit} bytes")
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return bytes(body)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise HttpError(400, "bad_request", "malformed chunk")


def render(response: Response, *, keep_alive: bool) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    if response.status != 204:
        lines += [f"Content-Type: {response.content_type}", f"Content-Length: {len(response.body)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body
