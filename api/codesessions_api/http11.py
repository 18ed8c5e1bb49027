"""HTTP/1.1 as uvicorn and httptools speak it, with what they leave out: bounds on a request's head and on the time it
takes, and problem documents for what is no request at all (RFC 9457).
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from codesessions_api.problems import MEDIA_TYPE, Problem

MAX_HEAD = 64 << 10
HEAD_SECONDS = 15.0
"""How long a connection may take for a request's head, from its first byte, or from the connection's opening."""


_UPGRADE = re.compile(rb"(?<=\n)upgrade(?=:)", re.IGNORECASE)


def _without_upgrade(data: bytes) -> bytes:
    """Hide offers of another protocol (RFC 9110, section 7.8): the parser would take the body for it."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"ignored", head) + end + rest


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
        if b"pgrade" in data and (self._head_timer is not None or not self._is_answering):
            data = _without_upgrade(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > MAX_HEAD:
            self._refuse(Problem(431, "headers_too_large", f"The request's head is over {MAX_HEAD} bytes."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_is_there()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self._refuse(Problem(400, "bad_request", "This is not an HTTP/1.1 request."))

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # there is none before the first request
        return cycle is not None and not cycle.response_complete

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._is_answering:  # this is a pipelined request; the one before it may be held for long
            self._expect_head()
            return
        self._refuse(Problem(408, "request_timeout", f"The request's head did not arrive within {HEAD_SECONDS:.0f} s."))

    def _refuse(self, problem: Problem) -> None:
        self._head_is_there()
        if self.transport.is_closing():
            return
        if self._is_answering:
            self.transport.close()
            return
        document: dict[str, Any] = problem.document(secrets.token_hex(8))
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {problem.status} {document['title']}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nx-request-id: {document['requestId']}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
