"""What a client gets that gets no terminal: an HTTP answer, or a WebSocket that closes at once with a code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from codesessions_api.gateway.frames import close_frame
from codesessions_api.gateway.handshake import Handshake, for_client
from codesessions_api.problems import MEDIA_TYPE, Problem

PREFERRED_PROTOCOL = "codesessions.v1"
UNAUTHENTICATED, FORBIDDEN, NO_SESSION, NOT_RUNNING = 4401, 4403, 4404, 4409
UNREACHABLE, RESTARTING = 1013, 1012
_CLOSE_CODES = {
    401: UNAUTHENTICATED,
    403: FORBIDDEN,
    404: NO_SESSION,
    409: NOT_RUNNING,
    429: UNREACHABLE,
    503: UNREACHABLE,
}


def plain(status: int, kind: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """An HTTP answer after which the connection closes."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if "Connection" not in headers:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def refusal(request: Handshake | None, problem: Problem, request_id: str) -> bytes:
    """A problem, in the form that this client can read (see the package's text)."""
    code = _CLOSE_CODES.get(problem.status)
    if request is not None and code is not None and is_browser(request):
        return closed(request, code, problem.detail, request_id)
    body = json.dumps(problem.document(request_id)).encode()
    return plain(problem.status, MEDIA_TYPE, body, {**problem.headers, "X-Request-Id": request_id})


def is_browser(request: Handshake) -> bool:
    """Whether this is a proper handshake of a browser, which sends its page's origin (RFC 6455, section 10.2)."""
    if "origin" not in request.headers:
        return False
    try:
        request.check()
    except Problem:
        return False
    return True


def closed(request: Handshake, code: int, reason: str, request_id: str) -> bytes:
    """A WebSocket that is accepted and closed.

    A browser fails a connection for which none of its subprotocols is chosen, so one is, if only to say why it ends.
    """
    offered = request.protocols
    protocol = PREFERRED_PROTOCOL if PREFERRED_PROTOCOL in offered else next(iter(offered), None)
    return for_client(request, protocol, request_id) + close_frame(code, reason)
