"""The opening handshake (RFC 6455, section 4): parsed strictly, and written anew for the other side."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from codesessions_api.problems import Problem

MAX_HEAD = 16 << 10
TICKET = "ticket.codesessions.dev."
_TOKEN = re.compile(rb"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


@dataclass(frozen=True)
class Handshake:
    """A request's head. Header names are lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def is_upgrade(self) -> bool:
        """Whether a WebSocket is asked for, properly."""
        headers = self.headers
        return (
            self.method == "GET"
            and headers.get("upgrade", "").lower() == "websocket"
            and "upgrade" in headers.get("connection", "").lower()
            and headers.get("sec-websocket-version") == "13"
            and re.fullmatch(r"[A-Za-z0-9+/]{22}==", headers.get("sec-websocket-key", "")) is not None
        )

    @property
    def protocols(self) -> list[str]:
        """Subprotocols offered."""
        return [word.strip() for word in self.headers.get("sec-websocket-protocol", "").split(",") if word.strip()]


async def read(reader: asyncio.StreamReader) -> Handshake | None:
    """Read a request's head; None at the end of the connection. Raises Problem 400 or 431."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise Problem(431, "headers_too_large", f"The request's head is over {MAX_HEAD} bytes.") from error
    lines = raw[:-4].split(b"\r\n")
    try:
        method, target, version = lines[0].decode("ascii").split(" ")
        headers = dict(_header(line) for line in lines[1:])
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True, max_num_fields=16)
    except ValueError as error:
        raise Problem(400, "bad_request", "This is not an HTTP/1.1 request.") from error
    if version != "HTTP/1.1" or not target.startswith("/") or len(headers) != len(lines) - 1:
        raise Problem(400, "bad_request", "This is not an HTTP/1.1 request, or a header is there twice.")
    return Handshake(method, url.path, query, headers)


def _header(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.match(name):
        raise ValueError("malformed header")
    return name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")


def for_sidecar(request: Handshake, host: str, ticket: str) -> bytes:
    """The handshake that goes to the sidecar: the client's key and subprotocols, our ticket, and nothing else."""
    after = request.query.get("afterSeq", [""])[-1]
    path = "/v1/attach" + (f"?afterSeq={after}" if after.isascii() and after.isdigit() else "")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {request.headers['sec-websocket-key']}",
        f"Authorization: Bearer {ticket}",
    ]
    protocols = [word for word in request.protocols if not word.startswith(TICKET)]
    if protocols:
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(protocols)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
