"""The OpenAPI document (3.1), by hand: handlers read requests themselves, so that refusals are all of one shape.

A test compares it with the routes, and every answer the tests get with it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from codesessions_api.codes import CODES
from codesessions_api.context import BASE
from codesessions_api.deploy_openapi import deploy_paths
from codesessions_api.deploy_schemas import DEPLOY_SCHEMAS
from codesessions_api.idempotency import LONGEST_KEY
from codesessions_api.parameters import MAX_PAGE, MAX_SEQ, MAX_WAIT_SECONDS
from codesessions_api.problems import MEDIA_TYPE
from codesessions_api.schemas import SCHEMAS, number, ref, text
from codesessions_api.sidecar import MAX_OUTPUT_BYTES
from codesessions_api.views import STATUSES

Part = dict[str, Any]
_ALWAYS = (
    "bad_request",
    "missing_api_key",
    "invalid_api_key",
    "missing_scope",
    "organization_missing",
    "rate_limited",
    "internal_error",
    "not_ready",
    "overloaded",
)
_BODY = ("malformed_json", "request_timeout", "too_large", "unsupported_media_type", "invalid_body", "unknown_field")
_FOUND = ("session_not_found", "kubernetes_unavailable", "kubernetes_error")
_TERMINAL = (*_FOUND, "session_not_running", "session_completed", "terminal_unavailable")
_CREATED = {"sessionId": "cs_abc123", "workspaceId": "ws_abc123", "status": "creating"}
_SESSION = {
    "id": "cs_abc123",
    "projectName": "hello",
    "projectDescription": "a first try",
    "userId": "user_1",
    "organizationId": "org_demo",
    "status": "running",
    "workspaceId": "ws_abc123",
    "ptyEndpoint": "https://pty.example.com/cs_abc123",
    "createdAt": "2025-02-01T14:25:01Z",
    "updatedAt": "2025-02-01T14:25:04Z",
    "reason": "Running",
    "message": "The shell runs.",
    "exitCode": None,
}
_OUTPUT = {
    "sessionId": "cs_abc123",
    "chunks": [{"seq": 12, "text": "total 24\n", "createdAt": "2025-02-01T14:25:01Z"}],
    "lastSeq": 12,
    "oldestSeq": 1,
    "truncated": False,
    "exit": None,
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": text(f"wait=N: N seconds, at most {MAX_WAIT_SECONDS} (RFC 7240).", "wait=30"),
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": text(
        f"1 to {LONGEST_KEY} printable ASCII characters, a UUID for instance, with or without quotes. "
        "Repeated within 24 hours by the same user, the call makes nothing new.",
        "8e03978e-40d5-43e8-bc93-6894a57f9324",
    ),
}
_ID = {"name": "id", "in": "path", "required": True, "schema": text("The session's id.", "cs_abc123")}


def _query(name: str, schema: Part) -> Part:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _header(description: str) -> Part:
    return {"description": description, "schema": {"type": "string"}}


_REQUEST_ID = {
    "X-Request-Id": _header("The request's id: yours if you sent one, and in our logs."),
    "RateLimit-Policy": _header("The limit that the call counts for: `q` calls in `w` seconds. Absent: none."),
    "RateLimit": _header("How it stands: `r` calls are left, in `t` seconds all are."),
}
_REPLAYED = {"Idempotency-Replayed": _header("`true` if an earlier call with the Idempotency-Key made it.")}
_APPLIED = {"Preference-Applied": _header("wait=N, if a wait was asked for.")}
_FROM_MEMORY = {"listSessions", "getSession", "listApps", "getApp", "listBuilds", "getBuild"}
_STALE = {
    "Age": _header("Only while the cluster does not answer: seconds for which changes may have been missed."),
    "Cache-Status": _header("The same (RFC 9211)."),
}
_LOCATION = {"Location": _header("Path of the session.")}


def _problems(codes: tuple[str, ...]) -> Part:
    """Responses for codes, by status; each code is an example."""
    found: Part = {}
    for status in sorted({CODES[code][0] for code in codes}):
        here = [code for code in codes if CODES[code][0] == status]
        examples = {code: {"value": _example(code)} for code in here}
        headers = dict(_REQUEST_ID)
        if status in {409, 429, 503}:
            headers["Retry-After"] = _header("Seconds after which it may work.")
        if status == 401:
            headers["WWW-Authenticate"] = _header("How to send a key.")
        found[str(status)] = {
            "description": " ".join(f"`{code}`: {CODES[code][1]}" for code in here),
            "headers": headers,
            "content": {MEDIA_TYPE: {"schema": ref("Problem"), "examples": examples}},
        }
    return found


def _example(code: str) -> Part:
    status, meaning = CODES[code]
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": meaning,
        "code": code,
        "requestId": "5f0c9a4be1d27386",
    }


def _operation(
    name: str,
    summary: str,
    description: str,
    status: int,
    *codes: str,
    answer: str | None = None,
    example: Part | None = None,
    body: tuple[str, Part] | None = None,
    parameters: tuple[Part, ...] = (),
    headers: Part | None = None,
) -> Part:
    stale = _STALE if name in _FROM_MEMORY else {}
    done: Part = {"description": "Done.", "headers": {**_REQUEST_ID, **stale, **(headers or {})}}
    if answer is not None:
        done["content"] = {"application/json": {"schema": ref(answer), "example": example}}
    found: Part = {
        "operationId": name,
        "tags": ["code-sessions"],
        "summary": summary,
        "description": description,
        "responses": {str(status): done, **_problems((*_ALWAYS, *(_BODY if body else ()), *codes))},
    }
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        content = {"application/json": {"schema": ref(body[0]), "example": body[1]}}
        found["requestBody"] = {"required": True, "content": content}
    return found


_CREATE = _operation(
    "createSession",
    "Create a session",
    "Scope `code-sessions:write`. Unknown members are refused. With `Prefer: wait=N` the answer comes when the session "
    "runs or has failed, or after N seconds, and `status` is what it is then. With `Idempotency-Key` it can safely be "
    "made again for 24 hours: the answer names the same session, with the status it has by then.",
    201,
    "quota_exceeded",
    "idempotency_key_reused",
    "invalid_parameter",
    "forbidden_by_cluster",
    "invalid",
    "kubernetes_unavailable",
    "kubernetes_error",
    answer="Created",
    example=_CREATED,
    body=("CreateSession", {"projectName": "hello", "projectDescription": "a first try"}),
    parameters=(_PREFER, _IDEMPOTENCY_KEY),
    headers={**_APPLIED, **_LOCATION, **_REPLAYED},
)
_LIST = _operation(
    "listSessions",
    "List sessions, newest first",
    "Scope `code-sessions:read`. Sessions that are made meanwhile do not move the pages.",
    200,
    "invalid_parameter",
    answer="SessionList",
    example={"items": [_SESSION], "nextCursor": None},
    parameters=(
        _query("limit", number("How many a page.", minimum=1, maximum=MAX_PAGE, default=50)),
        _query("cursor", text("`nextCursor` of the page before.")),
        _query("status", text("Only sessions of this status.", enum=list(STATUSES))),
    ),
)
_GET = _operation(
    "getSession",
    "Read a session",
    "Scope `code-sessions:read`. Completed sessions stay readable until their time to live is over.",
    200,
    *_FOUND,
    answer="Session",
    example=_SESSION,
)
_COMPLETE = _operation(
    "completeSession",
    "Stop a session",
    "Scope `code-sessions:write`. Its record stays, as `completed`. Again for a session that has ended: 204 too.",
    204,
    *_FOUND,
    "forbidden_by_cluster",
    "invalid",
)
_INPUT = _operation(
    "sendInput",
    "Type into a session",
    "Scope `code-sessions:write`. `bytes` counts UTF-8. After 503 it is not known whether the text was typed; with "
    "`inputSeq` the same call can safely be made again. With `Prefer: wait=N` a session that is being created is "
    "waited for.",
    200,
    *_TERMINAL,
    "input_queue_full",
    answer="InputResult",
    example={"sent": True, "bytes": 7},
    body=("SendInput", {"text": "ls -la\n"}),
    parameters=(_PREFER,),
    headers=_APPLIED,
)
_READ = _operation(
    "readOutput",
    "Read output by sequence number",
    "Scope `code-sessions:read`. Ask with `afterSeq` = the last `seq` you got. With `Prefer: wait=N` the answer comes "
    "as soon as there is output after it, the shell has ended, or N seconds are over. A session that has never run has "
    "no chunks; one whose pod is being replaced answers 409. Of a session that has ended the "
    "output can be read until the session is deleted.",
    200,
    *_TERMINAL,
    "output_gone",
    "output_not_stored_yet",
    "archive_unavailable",
    "invalid_parameter",
    answer="Output",
    example=_OUTPUT,
    parameters=(
        _query("afterSeq", number("Only chunks after this number.", minimum=0, maximum=MAX_SEQ, default=0)),
        _query("limit", number(f"About so many bytes; never more than {MAX_OUTPUT_BYTES}.", minimum=1)),
        _query("raw", text("The exact bytes: chunks have `data` in place of `text`.", enum=["base64"])),
        _PREFER,
    ),
    headers=_APPLIED,
)
_RECORDING = _operation(
    "readRecording",
    "Get a recording of the terminal",
    "Scope `code-sessions:read`. Asciicast v3, which asciinema plays: all output that is kept, with its times, changes "
    "of size, and the end; what was typed is not recorded. With `format=text` plain text: escape sequences are taken "
    "out, and of a line that was written over what came last is left. An answer without its last chunk (it is "
    "`chunked`) has been cut: ask again.",
    200,
    *_TERMINAL,
    "output_gone",
    "output_not_stored_yet",
    "archive_unavailable",
    "invalid_parameter",
    parameters=(_query("format", text("What to get.", enum=["asciicast", "text"], default="asciicast")),),
    headers={"Content-Disposition": _header("A file name.")},
)
_RECORDING["responses"]["200"]["content"] = {
    "application/x-asciicast": {"schema": {"type": "string"}},
    "text/plain": {"schema": {"type": "string"}},
}
_RESIZE = _operation(
    "resizeTerminal",
    "Set the terminal's size",
    "Scope `code-sessions:write`.",
    204,
    *_TERMINAL,
    body=("Resize", {"rows": 24, "cols": 80}),
    parameters=(_PREFER,),
    headers=_APPLIED,
)
_TICKET = _operation(
    "createTicket",
    "Get a ticket for the terminal",
    "Scope `code-sessions:read`; with `code-sessions:write` too the ticket allows to type. For web pages, which cannot "
    "send X-API-Key with a WebSocket: offer subprotocol `ticket.codesessions.dev.<ticket>` at `ptyEndpoint`.",
    201,
    *_FOUND,
    "session_completed",
    answer="Ticket",
    example={"ticket": "eyJzaWQiOi....c2lnbmF0dXJl", "expiresAt": "2025-02-01T14:26:01Z"},
)


def document() -> Part:
    """The whole document."""
    one = BASE + "/{id}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Code Sessions",
            "version": "1",
            "summary": "Interactive coding sessions on Kubernetes.",
            "description": "A session is a shell in a pod; its output is numbered and kept. Errors are problem "
            "documents (RFC 9457) with a stable `code`. Query parameters that are not known are ignored, members of a "
            "body that are not known are refused. `traceparent` is passed on and logged; an `Idempotency-Key` is "
            "ignored where none is named.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"ApiKey": []}],
        "tags": [
            {"name": "code-sessions", "description": "Sessions and their terminals."},
            {"name": "apps", "description": "What was deployed."},
            {"name": "builds", "description": "Deploys: from files to a revision."},
        ],
        "paths": {
            BASE: {"post": _CREATE, "get": _LIST},
            one: {"parameters": [_ID], "get": _GET, "delete": _COMPLETE},
            one + "/input": {"parameters": [_ID], "post": _INPUT},
            one + "/output": {"parameters": [_ID], "get": _READ},
            one + "/recording": {"parameters": [_ID], "get": _RECORDING},
            one + "/resize": {"parameters": [_ID], "post": _RESIZE},
            one + "/tickets": {"parameters": [_ID], "post": _TICKET},
            **deploy_paths(_operation, _ID, _PREFER, _APPLIED, _IDEMPOTENCY_KEY, _REPLAYED),
        },
        "components": {
            "schemas": {**SCHEMAS, **DEPLOY_SCHEMAS},
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "A key of the organisation: `codesessions keys create`.",
                }
            },
        },
    }
