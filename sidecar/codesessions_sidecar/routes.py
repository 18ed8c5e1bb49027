"""The HTTP calls, each a function of request and terminal."""

from __future__ import annotations

import binascii
import json
from collections.abc import Awaitable, Callable

from codesessions_sidecar.archive.limits import Limits
from codesessions_sidecar.http import HttpError, Request, Response, json_response, number, one_of
from codesessions_sidecar.journal import CAPACITY, QueueFullError, writer_id
from codesessions_sidecar.log import timestamp
from codesessions_sidecar.metrics import render
from codesessions_sidecar.terminal import EndedError, Page, Terminal
from codesessions_sidecar.tickets import ARCHIVE, READ, WRITE
from codesessions_sidecar.utf8 import decode, is_text

MAX_WRITER_NAME = 64
"""Characters."""
Handler = Callable[[Request, Terminal], Awaitable[Response]]
MAX_INPUT = CAPACITY
MAX_WAIT_SECONDS = 60
MAX_LIMIT = 256 << 10
"""Bytes of output in one answer; who asks for more gets as much, so that no poller makes the process large."""


def writer_of(request: Request) -> int:
    """The writer whose inputSeq it is, by `writer=NAME`. Raises HttpError 400."""
    name = request.query.get("writer", "")
    if len(name) > MAX_WRITER_NAME:
        raise HttpError(400, "bad_parameter", f"writer must be at most {MAX_WRITER_NAME} characters")
    return writer_id(name)


def page_document(page: Page, *, raw: bool = False) -> dict[str, object]:
    """A page of output as JSON; with `raw` its exact bytes, in base64 (RFC 4648, section 4)."""

    def content(data: bytes) -> dict[str, str]:
        return {"data": binascii.b2a_base64(data, newline=False).decode()} if raw else {"text": decode(data)}

    return {
        "chunks": [
            {"seq": chunk.seq, **content(chunk.data), "createdAt": timestamp(chunk.created_ns)} for chunk in page.chunks
        ],
        "lastSeq": page.last_seq,
        "oldestSeq": page.oldest_seq,
        "truncated": page.truncated,
        "exit": None if page.exit is None else page.exit.document(),
    }


async def output(request: Request, terminal: Terminal) -> Response:
    """GET /v1/output?after=N&limit=BYTES&wait=SECONDS&raw=base64."""
    after = number(request, "after", 0, 2**63 - 1)
    limit = min(MAX_LIMIT, number(request, "limit", MAX_LIMIT, 2**63 - 1))
    wait = number(request, "wait", 0, MAX_WAIT_SECONDS)
    raw = one_of(request, "raw", ("base64",)) is not None
    return json_response(page_document(await terminal.wait_page(after, limit, wait, request.gone), raw=raw))


async def take_input(request: Request, terminal: Terminal) -> Response:
    """POST /v1/input?inputSeq=N&writer=NAME, the body is what is typed."""
    seq = number(request, "inputSeq", 0, 2**63 - 1) or None
    if not is_text(request.body):
        raise HttpError(400, "bad_request", "the body must be UTF-8")
    try:
        count = terminal.type(request.body, seq, writer_of(request))
    except EndedError as error:
        raise HttpError(409, "shell_ended", "the shell has ended") from error
    except QueueFullError as error:
        detail = "the program in the session does not read its input; nothing of this was typed"
        raise HttpError(429, "input_queue_full", detail, headers={"Retry-After": "1"}) from error
    return json_response({"bytes": count})


async def resize(request: Request, terminal: Terminal) -> Response:
    """POST /v1/resize {"rows","cols"}."""
    try:
        size = json.loads(request.body)
        rows, columns = size["rows"], size["cols"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HttpError(400, "bad_request", 'the body must be {"rows": 24, "cols": 80}') from error
    if not all(type(value) is int and 1 <= value <= 10_000 for value in (rows, columns)):
        raise HttpError(400, "bad_request", "rows and cols must be from 1 to 10000")
    terminal.resize(rows, columns)
    return Response(204)


def archive_limits(request: Request) -> Limits:
    """What the caller wants an archive to hold at most; nobody gets more than the defaults. Raises HttpError 400."""
    most = Limits()
    return Limits(
        entries=number(request, "entries", most.entries, most.entries),
        file=number(request, "fileBytes", most.file, most.file),
        total=number(request, "totalBytes", most.total, most.total),
    )


def archive_document(counts: tuple[str, ...]) -> dict[str, int]:
    """What an archive would hold, as JSON."""
    return dict(zip(("entries", "bytes", "skipped"), map(int, counts), strict=True))


async def whole(_: Request, terminal: Terminal) -> Response:
    """GET /v1/transcript."""
    from codesessions_sidecar import transcript  # what most sessions never need

    return Response(200, content_type=transcript.MEDIA_TYPE, stream=transcript.write(terminal))


async def metrics(_: Request, terminal: Terminal) -> Response:
    """GET /metrics, in Prometheus' text format."""
    return Response(200, render(terminal).encode(), "text/plain; version=0.0.4")


async def hold(_: Request, terminal: Terminal) -> Response:
    """POST /v1/hold: stay when the shell has ended, until the transcript is taken."""
    terminal.held = True
    return Response(204)


async def release(_: Request, terminal: Terminal) -> Response:
    """POST /v1/release: the transcript is taken."""
    terminal.held = False
    terminal.released.set()
    return Response(204)


ROUTES: dict[tuple[str, str], tuple[str, Handler]] = {
    ("GET", "/v1/output"): (READ, output),
    ("POST", "/v1/input"): (WRITE, take_input),
    ("POST", "/v1/resize"): (WRITE, resize),
    ("GET", "/v1/transcript"): (READ, whole),
    ("POST", "/v1/hold"): (ARCHIVE, hold),
    ("POST", "/v1/release"): (ARCHIVE, release),
    ("GET", "/metrics"): (READ, metrics),
}
