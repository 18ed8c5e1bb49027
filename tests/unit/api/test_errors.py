"""Every refusal that the API can make, made for real; each answer is held against the OpenAPI document."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import codesessions_api
import pytest
from codesessions_api import bodies, http11
from codesessions_api.codes import CODES
from codesessions_api.ratelimits import Limit
from codesessions_kube.errors import ForbiddenError, InvalidError, KubeError, UnavailableError
from codesessions_kube.kinds import API_KEY, APP, BUILD, CODE_SESSION
from support.livekube import LiveKube
from support.restapi import BASE, ONE, Answer, Rest, serving, until

BODY = {"projectName": "p", "projectDescription": "d"}
TEXT = {"text": "x"}
Scenario = Callable[[Rest], Awaitable[Answer]]


def parsed(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]), headers, body)


def call(method: str, path: str, body: object = None, **more: Any) -> Scenario:
    return lambda rest: rest.call(method, path, body, **more)


def raw(data: bytes) -> Scenario:
    async def send(rest: Rest) -> Answer:
        return parsed(await rest.raw(data))

    return send


def refused(verb: str, error: KubeError) -> Scenario:
    async def send(rest: Rest) -> Answer:
        rest.kube.will_refuse(verb, CODE_SESSION, error)
        return await rest.call("POST", BASE, BODY)

    return send


def said(status: int, text: str, path: str = "/output", body: object = None) -> Scenario:
    """What the API makes of a sidecar's words."""

    async def send(rest: Rest) -> Answer:
        rest.sidecar.say(status, text)
        return await rest.call("POST" if body else "GET", ONE + path, body)

    return send


async def with_namespace_unlabelled(rest: Rest) -> Answer:
    key = await rest.kube.add_key("nowhere")
    await until("the key is known", lambda: rest.application.context.caches.keys.find(key.hash))  # type: ignore[union-attr]
    return await rest.call("GET", BASE, key=key.text)


async def with_few_scopes(rest: Rest) -> Answer:
    key = await rest.kube.add_key("demo", "read")
    await until("the key is known", lambda: rest.application.context.caches.keys.find(key.hash))  # type: ignore[union-attr]
    return await rest.call("POST", BASE, BODY, key=key.text)


async def in_phase(
    rest: Rest,
    phase: str,
    method: str = "POST",
    path: str = "/input",
    *,
    archived: str = "",
    transcript: bool = False,
) -> Answer:
    conditions = [{"type": "Archived", "status": "False", "reason": archived, "message": "Why."}] if archived else []
    more = {"transcript": {"digest": "sha256:" + "a" * 64}} if transcript else {}
    await rest.kube.set_status(phase=phase, pod={"ip": None}, conditions=conditions, **more)
    caches = rest.application.context.caches  # type: ignore[union-attr]
    await until(
        "it is told", lambda: (caches.sessions.get("demo", "cs-abc123") or {}).get("status", {})["phase"] == phase
    )
    return await rest.call(method, ONE + path, TEXT if method == "POST" else None)


async def too_slow(rest: Rest) -> Answer:
    head = f"POST {BASE} HTTP/1.1\r\nHost: x\r\nX-API-Key: {rest.key}\r\nContent-Length: 9\r\n\r\n{{"
    return parsed(await rest.raw(head.encode()))


async def faulty(rest: Rest) -> Answer:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    rest.application.context.service.get = fail  # type: ignore[union-attr, method-assign, assignment]
    return await rest.call("GET", ONE)


async def unfilled(rest: Rest) -> Answer:
    kube = LiveKube()
    kube.away = True
    kube.objects = dict(rest.kube.objects)
    kube.away = False
    for kind in (API_KEY, CODE_SESSION):
        kube.will_refuse("list", kind, *[UnavailableError("no")] * 9)
    rest.application.context.caches.sessions.synced.clear()  # type: ignore[union-attr]
    return await rest.call("GET", BASE)


async def overloaded(_: Rest) -> Answer:
    async with serving(request_limit=1) as rest:
        await rest.kube.add_session(phase="Creating")
        held = asyncio.create_task(rest.call("POST", f"{ONE}/input", TEXT, Prefer="wait=30"))
        await until("it is held", lambda: rest.application.metrics.held._value.get() == 1)
        answer = await rest.call("GET", BASE)
        assert (await rest.call("GET", "/healthz", check=False)).status == 200
        await rest.kube.set_status(phase="Failed")
        await held
        return answer


DEPLOY = f"{ONE}/deploy"
APPS, BUILDS = "/api/v1/apps", "/api/v1/builds"


async def deployed(rest: Rest) -> Answer:
    return await rest.call("POST", DEPLOY)


async def without_registry(_: Rest) -> Answer:
    async with serving(registry="") as rest:
        await rest.kube.add_session()
        return await deployed(rest)


async def taken_app(rest: Rest) -> Answer:
    spec = {"image": "x@sha256:" + "0" * 64}
    await rest.kube.create(APP, "demo", {"metadata": {"name": "app-abc123"}, "spec": spec}, manager="t")
    return await deployed(rest)


async def to_a_revision_that_is_not_kept(rest: Rest) -> Answer:
    app = (await deployed(rest)).json["appId"]
    return await rest.call("POST", f"{APPS}/{app}/rollback", {"revision": 9})


async def in_build_phase(rest: Rest, method: str, path: str, **status: Any) -> Answer:
    build = (await deployed(rest)).json["buildId"]
    name = build.replace("_", "-")
    await rest.kube.patch(BUILD, "demo", name, {"status": status}, manager="t")
    known = rest.application.context.deploys.caches.builds  # type: ignore[union-attr]
    await until("it is told", lambda: (known.get("demo", name) or {}).get("status"))
    return await rest.call(method, f"{BUILDS}/{build}{path}")


async def with_a_key_of_another_body(rest: Rest) -> Answer:
    await rest.call("POST", BASE, BODY, Idempotency_Key="k")
    return await rest.call("POST", BASE, {**BODY, "projectName": "another"}, Idempotency_Key="k")


async def too_often(_: Rest) -> Answer:
    async with serving(rate_limits={"reads": Limit("reads", 1, 60)}) as rest:
        await rest.call("GET", BASE)
        return await rest.call("GET", BASE)


RBAC = 'codesessions.codesessions.dev is forbidden: User "system:x" cannot create resource "codesessions"'
SCENARIOS: dict[str, Scenario] = {
    "malformed_json": call("POST", BASE, b"{"),
    "bad_request": raw(b"this is no HTTP\r\n\r\n"),
    "missing_api_key": call("GET", BASE, key=""),
    "invalid_api_key": call("GET", BASE, key="csk_nosuch"),
    "missing_scope": with_few_scopes,
    "organization_missing": with_namespace_unlabelled,
    "quota_exceeded": refused("create", ForbiddenError("exceeded quota: q, used: 1", status=403)),
    "forbidden_by_cluster": refused("create", ForbiddenError("admission webhook denied it", status=403)),
    "not_found": call("GET", "/api/v1/nothing", check=False),
    "session_not_found": call("GET", f"{BASE}/cs_nosuch"),
    "app_not_found": call("GET", f"{APPS}/app_nosuch"),
    "build_not_found": call("GET", f"{BUILDS}/bld_nosuch"),
    "revision_not_found": to_a_revision_that_is_not_kept,
    "app_taken": taken_app,
    "build_finished": lambda rest: in_build_phase(rest, "POST", "/cancel", phase="Succeeded"),
    "deploy_not_configured": without_registry,
    "registry_unavailable": lambda rest: in_build_phase(rest, "GET", "/logs", logDigest="sha256:" + "0" * 64),
    "method_not_allowed": call("PUT", ONE, check=False),
    "request_timeout": too_slow,
    "session_not_running": lambda rest: in_phase(rest, "Creating"),
    "session_completed": lambda rest: in_phase(rest, "Completed"),
    "output_gone": lambda rest: in_phase(rest, "Completed", "GET", "/output"),
    "output_not_stored_yet": lambda rest: in_phase(rest, "Completed", "GET", "/output", archived="Archiving"),
    "archive_unavailable": lambda rest: in_phase(rest, "Completed", "GET", "/output", transcript=True),
    "too_large": call("POST", BASE, b" " * (1 << 17)),
    "unsupported_media_type": call("POST", BASE, b"a=b", Content_Type="application/x-www-form-urlencoded"),
    "invalid_body": call("POST", BASE, {"projectName": "", "projectDescription": ""}),
    "unknown_field": call("POST", BASE, {**BODY, "extra": 1}),
    "invalid_parameter": call("GET", f"{BASE}?limit=many"),
    "invalid": refused("create", InvalidError("spec.projectName: Invalid value", status=422)),
    "input_queue_full": said(429, "", "/input", TEXT),
    "idempotency_key_reused": with_a_key_of_another_body,
    "rate_limited": too_often,
    "headers_too_large": raw(b"GET / HTTP/1.1\r\nX: " + b"x" * (http11.MAX_HEAD + 1)),
    "internal_error": faulty,
    "terminal_unavailable": said(500, ""),
    "kubernetes_unavailable": refused("create", UnavailableError("no answer")),
    "kubernetes_error": refused("create", ForbiddenError(RBAC, status=403)),
    "not_ready": unfilled,
    "overloaded": overloaded,
}
OF_THE_GATEWAY = {"invalid_ticket", "origin_refused", "upgrade_required"}
NOT_MET = {"http_error"}
"""What no request is known to bring about."""


@pytest.mark.parametrize("code", SCENARIOS)
async def test_every_refusal_is_a_problem_with_its_code(
    running: Rest, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == "request_timeout":
        monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    answer = await SCENARIOS[code](running)
    assert (answer.status, answer.code) == (CODES[code][0], code), answer.json
    problem = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    assert problem["requestId"] == answer.headers["x-request-id"]
    if answer.status == 503 or code in {"session_not_running", "input_queue_full", "rate_limited"}:
        assert int(answer.headers["retry-after"]) > 0
    if answer.status == 401:
        assert "X-API-Key" in answer.headers["www-authenticate"]


def test_every_code_is_met_by_a_test() -> None:
    assert set(SCENARIOS) == set(CODES) - OF_THE_GATEWAY - NOT_MET


def _uses() -> set[tuple[int | None, str]]:
    """Status (None: not a constant) and code of every Problem(...) and try_again(...) in the programs."""
    found: set[tuple[int | None, str]] = set()
    for path in Path(codesessions_api.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if named and node.func.id in {"Problem", "try_again"}:
                status, code = node.args[:2]
                numbers = [status] if not isinstance(status, ast.IfExp) else [status.body, status.orelse]
                codes = [code] if not isinstance(code, ast.IfExp) else [code.body, code.orelse]
                for each in codes:
                    value = each.value if isinstance(each, ast.Constant) else None
                    if isinstance(value, str):
                        found |= {(n.value if isinstance(n, ast.Constant) else None, value) for n in numbers}
    return found


def test_the_programs_use_the_listed_codes_with_the_listed_status_and_no_other() -> None:
    uses = _uses()
    computed = {"unknown_field", "invalid_body"}  # chosen by _refuse
    assert {code for _, code in uses} | computed == set(CODES)
    wrong = {(status, code) for status, code in uses if status is not None and CODES[code][0] != status}
    assert wrong == set()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", BASE, "GET, HEAD, POST"),
        ("POST", ONE, "DELETE, GET, HEAD"),
        ("OPTIONS", ONE, "DELETE, GET, HEAD"),
        ("GET", f"{ONE}/input", "POST"),
        ("HEAD", f"{ONE}/input", "POST"),
        ("PATCH", f"{ONE}/output", "GET, HEAD"),
    ],
)
async def test_other_methods_are_told_which_there_are(running: Rest, method: str, path: str, allowed: str) -> None:
    answer = await running.call(method, path, check=False)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b'{"text": "\xc3"}', 400, "malformed_json"),
        (b'\xef\xbb\xbf{"text": "x"}', 400, "malformed_json"),
        (b'{"text": "a", "text": "b"}', 400, "malformed_json"),
        (b'{"text": NaN}', 400, "malformed_json"),
        (b'{"text": ' + b"9" * 5000 + b"}", 400, "malformed_json"),
        (b"[" * 200_000, 400, "malformed_json"),
        (b'{"a":' * 200_000, 400, "malformed_json"),
        (b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}", 422, "invalid_body"),
        (b'{"text": "\\ud800"}', 422, "invalid_body"),
        (b'{"text": "x", "\\udfff": 1}', 422, "invalid_body"),
        (b'{"text": "x", "inputSeq": 1e400}', 422, "invalid_body"),
        (b'{"text": "x", "inputSeq": 9223372036854775808}', 422, "invalid_body"),
        (b'{"text": "x", "inputSeq": 0}', 422, "invalid_body"),
        (b'{"text": "x", "inputSeq": true}', 422, "invalid_body"),
        (b'{"text": "x", "inputSeq": 1, "writer": "\\ud800"}', 422, "invalid_body"),
        (b'{"text": "x", "input_seq": 1}', 422, "unknown_field"),
        (b'{"text": 7}', 422, "invalid_body"),
        (b'{"text": null}', 422, "invalid_body"),
        (b'"text"', 422, "invalid_body"),
        (b"null", 422, "invalid_body"),
        (b"{}", 422, "invalid_body"),
        (json.dumps({"text": "x" * ((1 << 20) + 1)}).encode(), 413, "too_large"),
        (json.dumps({"text": "é" * ((1 << 19) + 1)}).encode(), 413, "too_large"),
    ],
)
async def test_a_hostile_body_is_refused_and_nothing_typed(running: Rest, body: bytes, status: int, code: str) -> None:
    answer = await running.call("POST", f"{ONE}/input", body)
    assert (answer.status, answer.code) == (status, code), answer.json
    assert running.sidecar.calls == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", ""])
async def test_json_goes_by_several_names(running: Rest, kind: str) -> None:
    assert (await running.call("POST", f"{ONE}/input", b'{"text":"x"}', Content_Type=kind)).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/json-patch+json", "multipart/form-data; boundary=x", ";"])
async def test_other_types_are_refused(running: Rest, kind: str) -> None:
    assert (await running.call("POST", f"{ONE}/input", b'{"text":"x"}', Content_Type=kind)).status == 415


@pytest.mark.parametrize(
    "query",
    [
        "afterSeq=-1",
        "afterSeq=1.0",
        "afterSeq=",
        "afterSeq=%2B1",
        "afterSeq=%D9%A3",
        "afterSeq=9223372036854775808",
        "afterSeq=" + "9" * 5000,
        "afterSeq=1&afterSeq=1",
        "limit=0",
        "limit=x",
    ],
)
async def test_a_hostile_parameter_is_named(running: Rest, query: str) -> None:
    answer = await running.call("GET", f"{ONE}/output?{query}")
    assert (answer.status, answer.code) == (422, "invalid_parameter")
    assert answer.json["errors"][0]["pointer"] == query.partition("=")[0]


@pytest.mark.parametrize("key", [b"\xff\xfe", b"a b", b"x" * 5000, "schlüssel".encode(), b"%00"])
async def test_a_key_of_odd_bytes_is_no_key(rest: Rest, key: bytes) -> None:
    head = b"GET /api/v1/code-sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: " + key + b"\r\n\r\n"
    answer = parsed(await rest.raw(head))
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_two_keys_are_none(rest: Rest) -> None:
    key = f"X-API-Key: {rest.key}\r\n".encode()
    head = b"GET /api/v1/code-sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + key + key + b"\r\n"
    answer = parsed(await rest.raw(head))
    assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_body_may_come_in_chunks(running: Rest) -> None:
    head = f"POST {ONE}/input HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\nConnection: close\r\n"
    text = b'{"text":\r\n7\r\n"\xc3\xa9\\n"}'  # cut amid the JSON
    raw = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n8\r\n" + text + b"\r\n0\r\n\r\n"
    answer = parsed(await running.raw(raw))
    assert answer.json == {"sent": True, "bytes": 3}
    assert running.sidecar.calls[-1][3] == "é\n".encode()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 999999999999999999999", b"Content-Length: 99999999", b"Transfer-Encoding: chunked"]
)
async def test_an_endless_body_is_refused_before_it_is_there(running: Rest, framing: bytes) -> None:
    head = f"POST {BASE} HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\nConnection: close\r\n".encode()
    body = b"20000\r\n" + b" " * 0x20000 if framing.startswith(b"Transfer") else b"{"
    answer = parsed(await running.raw(head + framing + b"\r\n\r\n" + body))
    assert answer.status in {400, 413}
    assert answer.code in {"bad_request", "too_large"}


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_a_problem_too(rest: Rest, data: bytes) -> None:
    answer = parsed(await rest.raw(data))
    assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http11, "HEAD_SECONDS", 0.05)
    async with serving() as rest:
        answer = parsed(await rest.raw(b"GET / HT"))
        assert (answer.status, answer.code) == (408, "request_timeout")


async def test_a_request_id_is_kept_if_it_can_be(rest: Rest) -> None:
    assert (await rest.call("GET", BASE, X_Request_Id="trace:1.a-b_c")).headers["x-request-id"] == "trace:1.a-b_c"
    for odd in ("a b", "x" * 129, "ü"):
        assert (await rest.call("GET", BASE, X_Request_Id=odd)).headers["x-request-id"] != odd


async def test_a_refusal_reaches_a_client_that_sends_everything_first(running: Rest) -> None:
    head = f"POST {BASE} HTTP/1.1\r\nHost: x\r\nX-API-Key: csk_bad\r\nConnection: close\r\n".encode()
    body = b" " * (4 << 20)
    answer = parsed(await running.raw(head + b"Content-Length: %d\r\n\r\n" % len(body) + body))
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_who_asks_before_sending_is_told_not_to(running: Rest) -> None:
    head = f"POST {BASE} HTTP/1.1\r\nHost: x\r\nX-API-Key: csk_bad\r\nConnection: close\r\n".encode()
    answer = parsed(await running.raw(head + b"Content-Length: 9999\r\nExpect: 100-continue\r\n\r\n"))
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_a_client_that_would_rather_speak_http2_is_answered_all_the_same(running: Rest) -> None:
    """Java's client offers h2c with every request (RFC 7540, section 3.2); the body comes along."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    head = f"POST {ONE}/input HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\nContent-Length: 12\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(head + offer + b"\r\n" + b'{"text":"x"}')
    answer = parsed(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60) + await reader.read(500))
    writer.close()
    await writer.wait_closed()
    assert answer.json == {"sent": True, "bytes": 1}
