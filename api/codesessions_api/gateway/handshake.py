"""The opening handshake (RFC 6455, section 4; RFC 9112): parsed strictly, and written anew for the other side."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode

from codesessions_api.gateway.frames import accept_key
from codesessions_api.parameters import MAX_SEQ
from codesessions_api.problems import Problem, bad_parameter
from codesessions_api.trace import current

MAX_HEAD = 16 << 10
MAX_PARAMETERS = 32
MAX_PASSED = 4 << 10
"""Bytes of a query, and of subprotocols, that are passed on: a sidecar takes lines of 8 KiB."""
TICKET = "ticket.codesessions.dev."
"""A subprotocol that starts so carries a ticket, as browsers can send no header; it is never chosen."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"/[!-\"$-~]*")  # origin-form (RFC 9112, section 3.2.1), printable, without a fragment
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_SINGLE = frozenset(
    {
        "host",
        "origin",
        "authorization",
        "x-api-key",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-accept",
        "content-length",
        "transfer-encoding",
    }
)


@dataclass(frozen=True)
class Handshake:
    """A request's head. The path is decoded, header names are lower case, repeated ones are joined by commas."""

    method: str
    path: str
    query: str
    headers: dict[str, str]

    @property
    def wants_websocket(self) -> bool:
        """Whether a WebSocket is asked for, be it properly or not."""
        connection = words(self.headers.get("connection", "").lower())
        return "websocket" in words(self.headers.get("upgrade", "").lower()) and "upgrade" in connection

    @property
    def protocols(self) -> list[str]:
        """Subprotocols offered, without tickets."""
        return [word for word in self._offered if not word.startswith(TICKET)]

    @property
    def ticket(self) -> str | None:
        """A ticket: of Authorization: Bearer, or offered as a subprotocol."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
        return next((word.removeprefix(TICKET) for word in self._offered if word.startswith(TICKET)), None)

    @property
    def _offered(self) -> list[str]:
        return words(self.headers.get("sec-websocket-protocol", ""))

    @property
    def key(self) -> str:
        """Sec-WebSocket-Key, once `check` has passed."""
        return self.headers["sec-websocket-key"]

    def check(self) -> None:
        """Raises Problem 400, 405, 426 or 431 for what is no proper request for a WebSocket."""
        if self.method != "GET":
            raise Problem(405, "method_not_allowed", "Use GET.", headers={"Allow": "GET"})
        if not self.wants_websocket:
            detail = "This is a WebSocket endpoint: connect with a WebSocket client and the header X-API-Key."
            raise Problem(426, "upgrade_required", detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        if self.headers.get("sec-websocket-version") != "13":
            headers = {"Sec-WebSocket-Version": "13", "Upgrade": "websocket", "Connection": "Upgrade"}
            raise Problem(426, "upgrade_required", "Use version 13 of the WebSocket protocol.", headers=headers)
        if _KEY.fullmatch(self.headers.get("sec-websocket-key", "")) is None:
            raise Problem(400, "bad_request", "Sec-WebSocket-Key must be 16 bytes in base64.")
        if sum(map(len, self.protocols)) > MAX_PASSED:
            raise Problem(431, "headers_too_large", f"Subprotocols must be at most {MAX_PASSED} bytes.")

    @property
    def session(self) -> str | None:
        """The id that the path names: `/cs_abc123`, below any prefix, with a `/ws` behind it for those who add one."""
        last = self.path.removesuffix("/ws").rpartition("/")[2]
        return last if last.startswith("cs_") else None

    def parameters(self) -> dict[str, str]:
        """The query, which is the sidecar's to understand. Raises Problem 422 for what is sure to be refused."""
        try:
            pairs = parse_qsl(self.query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
        except ValueError as error:
            raise bad_parameter("the query", f"must have at most {MAX_PARAMETERS} parameters") from error
        found: dict[str, str] = {}
        for name, value in pairs:
            if name in found:
                raise bad_parameter(name[:64], "must be given once")
            found[name] = value
        if len(urlencode(found)) > MAX_PASSED:
            raise bad_parameter("the query", f"must be at most {MAX_PASSED} bytes")
        after = found.get("afterSeq", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 20 and int(after) <= MAX_SEQ):
            raise bad_parameter("afterSeq", f"must be a whole number from 0 to {MAX_SEQ}")
        return found


def words(text: str) -> list[str]:
    """The members of a comma-separated list (RFC 9110, section 5.6.1)."""
    return [word.strip() for word in text.split(",") if word.strip()]


async def read(reader: asyncio.StreamReader) -> Handshake | None:
    """Read a request's head; None at the end of the connection. Raises Problem 400 or 431."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError as error:
        raise Problem(431, "headers_too_large", f"The request's head is over {MAX_HEAD} bytes.") from error
    first, *lines = raw[:-4].split(b"\r\n")
    try:
        method, target, version = first.decode("ascii").split(" ")
        headers = parse_headers(lines)
    except ValueError as error:
        raise Problem(400, "bad_request", "This is not an HTTP/1.1 request.") from error
    if version != "HTTP/1.1" or not _TARGET.fullmatch(target) or "host" not in headers:
        raise Problem(400, "bad_request", "This is not an HTTP/1.1 request.")
    path, _, query = target.partition("?")
    return Handshake(method, unquote(path), query, headers)


def parse_headers(lines: Iterable[bytes]) -> dict[str, str]:
    """Header fields (RFC 9112, section 5). Raises ValueError for what is malformed, or there twice and may not be."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("malformed header")
        key, text = name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")
        if key in found:
            if key in _SINGLE:
                raise ValueError(f"{key} is there twice")
            text = f"{found[key]}, {text}"
        found[key] = text
    return found


def for_sidecar(request: Handshake, host: str, ticket: str) -> bytes:
    """The handshake that goes to the sidecar: the client's key, subprotocols and query, our ticket and ids."""
    query = urlencode(request.parameters())
    lines = [
        f"GET /v1/attach{'?' if query else ''}{query} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {request.key}",
        f"Authorization: Bearer {ticket}",
        *(f"{name}: {value}" for name, value in current.get().headers.items()),
    ]
    if request.protocols:
        lines.append(f"Sec-WebSocket-Protocol: {', '.join(request.protocols)}")
    return _head(lines)


def for_client(request: Handshake, protocol: str | None, request_id: str) -> bytes:
    """The answer that the client gets, with the subprotocol that was chosen."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(request.key)}",
        f"X-Request-Id: {request_id}",
    ]
    if protocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return _head(lines)


def chosen_protocol(request: Handshake, answer: bytes) -> str | None:
    """The subprotocol that a sidecar's answer chose.

    Raises ValueError for an answer that is no acceptance, and Problem 400 if it does not like the request itself.

    Not a header of it is passed on: a user's program could answer in the sidecar's place.
    """
    first, *lines = answer.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if first.startswith(b"HTTP/1.1 400 "):
        raise Problem(400, "bad_request", "The terminal does not take this request; look at its query parameters.")
    if not first.startswith(b"HTTP/1.1 101 "):
        raise ValueError(f"it answered {first[:40]!r}")
    headers = parse_headers(lines)
    if headers.get("upgrade", "").lower() != "websocket" or "sec-websocket-extensions" in headers:
        raise ValueError("it answered with another protocol")
    if headers.get("sec-websocket-accept") != accept_key(request.key):
        raise ValueError("Sec-WebSocket-Accept does not fit")
    protocol = headers.get("sec-websocket-protocol")
    if protocol is not None and protocol not in request.protocols:
        raise ValueError("it chose a subprotocol that was not offered")
    return protocol


def _head(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
