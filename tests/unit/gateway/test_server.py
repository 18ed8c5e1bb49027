"""Connections to the gateway: who is let in, and what those get who are not. Real sockets on both sides."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from codesessions_api.gateway import server
from codesessions_api.ratelimits import Limit
from codesessions_kube.kinds import API_KEY, CODE_SESSION
from support.gateway import BINARY, CLOSE, TEXT, Peer, Rig, close_of, gateway_rig, read_head
from support.restapi import until

PAGE = {"Origin": "https://pty.test"}


async def problem_of(peer: Peer) -> dict[str, object]:
    """The problem document of an HTTP refusal, which ends the connection."""
    body = await peer.rest()
    assert peer.headers["content-type"] == "application/problem+json"
    assert int(peer.headers["content-length"]) == len(body)
    assert peer.headers["connection"].lower() in {"close", "upgrade"}
    found: dict[str, object] = json.loads(body)
    assert (found["status"], found["requestId"]) == (peer.status, peer.headers["x-request-id"])
    return found


async def test_a_key_opens_the_terminal(rig: Rig) -> None:
    client, terminal = await rig.attached()
    ticket = rig.shown_ticket(terminal)
    assert (ticket.session_id, ticket.scope, ticket.user_id) == ("cs_abc123", ("read", "write"), "u1")
    assert terminal.path == "/v1/attach"
    assert "x-api-key" not in terminal.headers
    assert "sec-websocket-protocol" not in client.headers
    await terminal.send(BINARY, b"hello")
    assert await client.next() == (BINARY, b"hello")
    await client.send(TEXT, b"ls\n", masked=True)
    assert await terminal.next() == (TEXT, b"ls\n")


async def test_a_key_that_may_only_read_has_a_ticket_that_may_only_read(rig: Rig) -> None:
    key = await rig.kube.add_key("demo", "read")
    await until("the key is known", lambda: rig.caches.keys.find(key.hash))
    _, terminal = await rig.attached(key=key.text)
    assert rig.shown_ticket(terminal).scope == ("read",)


@pytest.mark.parametrize("protocol", ["tty", "v5.channel.k8s.io", "v4.channel.k8s.io", "codesessions.v1", "any.v9"])
async def test_every_subprotocol_goes_to_the_terminal_and_its_choice_back(rig: Rig, protocol: str) -> None:
    rig.terminal.chooses = lambda offered: offered[-1]
    client, terminal = await rig.attached(Sec_WebSocket_Protocol=f"first, {protocol}")
    assert terminal.headers["sec-websocket-protocol"] == f"first, {protocol}"
    assert client.headers["sec-websocket-protocol"] == protocol


async def test_the_query_is_the_terminals(rig: Rig) -> None:
    await rig.ask("/cs_abc123/ws?afterSeq=7&role=viewer&dialect=terminado")
    assert (await rig.terminal.next()).path == "/v1/attach?afterSeq=7&role=viewer&dialect=terminado"


@pytest.mark.parametrize("how", ["header", "subprotocol"])
async def test_a_ticket_opens_its_terminal(rig: Rig, how: str) -> None:
    ticket = await rig.ticket("read")
    rig.terminal.chooses = lambda offered: offered[0] if offered else None
    if how == "header":
        client = await rig.ask(key="", Authorization=f"Bearer {ticket}")
    else:
        offered = f"ticket.codesessions.dev.{ticket}, codesessions.v1"
        client = await rig.ask(key="", Sec_WebSocket_Protocol=offered, **PAGE)
        assert client.headers["sec-websocket-protocol"] == "codesessions.v1"
    terminal = await rig.terminal.next()
    assert rig.shown_ticket(terminal).scope == ("read",)
    assert ticket not in str(terminal.headers)


@pytest.mark.parametrize(
    "changes",
    [{"session_id": "cs_other"}, {"uid": "uid-other"}, {"expires": 1}, {"scope": ("write",)}],
)
async def test_another_ticket_does_not(rig: Rig, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SETTLE_SECONDS", 0.0)
    ticket = await rig.ticket("read", **changes)
    client = await rig.ask(key="", Authorization=f"Bearer {ticket}")
    problem = await problem_of(client)
    assert (client.status, problem["code"]) in {(401, "invalid_ticket"), (403, "missing_scope")}
    assert rig.terminal.peers.empty()


REFUSALS = [
    ("/cs_abc123", "", 401, "missing_api_key", 4401),
    ("/cs_abc123", "csk_nosuch", 401, "invalid_api_key", 4401),
    ("/cs_nosuch", None, 404, "session_not_found", 4404),
    ("/cs_ABC", None, 404, "session_not_found", 4404),
]


@pytest.mark.parametrize(("path", "key", "status", "code", "_close"), REFUSALS)
async def test_a_program_gets_a_problem(
    rig: Rig, path: str, key: str | None, status: int, code: str, _close: int
) -> None:
    client = await rig.ask(path, key)
    problem = await problem_of(client)
    assert (client.status, problem["code"]) == (status, code)
    assert status != 401 or client.headers["www-authenticate"]


@pytest.mark.parametrize(("path", "key", "_status", "_code", "close"), REFUSALS)
async def test_a_page_gets_a_close_code(
    rig: Rig, path: str, key: str | None, _status: int, _code: str, close: int
) -> None:
    client = await rig.ask(path, key, Sec_WebSocket_Protocol="tty, codesessions.v1", **PAGE)
    assert client.status == 101
    assert client.headers["sec-websocket-protocol"] == "codesessions.v1"
    code, reason = await client.closed()
    assert code == close
    assert reason


async def test_another_sites_page_is_refused(rig: Rig) -> None:
    client = await rig.ask(Origin="https://evil.example")
    assert (await client.closed())[0] == 4403


@pytest.mark.parametrize(
    "origin", ["null", "https://", "https://pty.test.evil.example", "https://[x", "http://pty.testx"]
)
async def test_odd_origins_are_refused(rig: Rig, origin: str) -> None:
    assert (await (await rig.ask(Origin=origin)).closed())[0] == 4403


async def test_pages_that_the_settings_name_may_come() -> None:
    async with gateway_rig(origins=frozenset({"https://app.example"})) as rig:
        assert (await rig.ask(Origin="https://app.example")).status == 101
    async with gateway_rig(origins=frozenset({"*"})) as rig:
        assert (await rig.ask(Origin="https://any.example")).status == 101


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/", {}, 404, "not_found"),
        ("/cs_abc123", {"Upgrade": None}, 426, "upgrade_required"),
        ("/cs_abc123", {"Sec_WebSocket_Version": "8"}, 426, "upgrade_required"),
        ("/cs_abc123", {"Sec_WebSocket_Key": "x"}, 400, "bad_request"),
        ("/cs_abc123?afterSeq=x", {}, 422, "invalid_parameter"),
    ],
)
async def test_what_is_no_request_for_a_terminal(
    rig: Rig, path: str, headers: dict[str, str | None], status: int, code: str
) -> None:
    client = await rig.ask(path, **headers)
    assert (client.status, (await problem_of(client))["code"]) == (status, code)


async def test_other_methods_are_told(rig: Rig) -> None:
    client = await rig.connect(b"POST /cs_abc123 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    first, headers = await read_head(client.reader)
    assert " 405 " in first
    assert headers["allow"] == "GET"


async def test_what_is_no_http_is_told(rig: Rig) -> None:
    client = await rig.connect(b"\x16\x03\x01\x02\r\n\r\n")
    first, _ = await read_head(client.reader)
    assert " 400 " in first


async def test_who_says_nothing_is_not_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.05)
    client = await rig.connect(b"GET /cs_abc123 HT")
    first, _ = await read_head(client.reader)
    assert " 408 " in first


@pytest.mark.parametrize("origin", [None, "https://pty.test"])
@pytest.mark.parametrize("phase", ["Creating", "Suspended", "Completed", "Failed"])
async def test_a_session_that_does_not_run_is_a_close_code_for_everybody(
    rig: Rig, phase: str, origin: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SETTLE_SECONDS", 0.0)
    await rig.kube.set_status(phase=phase)
    await until("it is told", lambda: rig.caches.sessions.find("cs-abc123")[0]["status"]["phase"] == phase)
    code, reason = await (await rig.ask(Origin=origin)).closed()
    assert code == 4409
    assert phase.lower() in reason


async def test_a_session_that_the_watch_does_not_know_yet_is_waited_for_a_moment(rig: Rig) -> None:
    asked = asyncio.create_task(rig.ask("/cs_new"))
    await asyncio.sleep(0)
    await rig.kube.add_session("cs-new", ip=rig.terminal.ip)
    assert (await asked).status == 101


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 401 No\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 101 Sw\r\n\r\n"],
)
async def test_a_terminal_that_does_not_accept_is_1013(rig: Rig, answer: bytes) -> None:
    rig.terminal.answer = answer
    assert await (await rig.ask()).closed() == (1013, "the session's terminal cannot be reached; connect again")


async def test_a_terminal_that_does_not_like_the_request_is_400(rig: Rig) -> None:
    rig.terminal.answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    client = await rig.ask("/cs_abc123?dialect=nosuch")
    assert (client.status, (await problem_of(client))["code"]) == (400, "bad_request")


async def test_a_dead_terminal_is_1013(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesessions_api.gateway.upstream.RETRY_SECONDS", 0.05)
    await rig.terminal.stop()
    assert (await (await rig.ask()).closed())[0] == 1013


async def test_a_silent_terminal_is_1013(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesessions_api.gateway.upstream.CONNECT_SECONDS", 0.05)
    rig.terminal.answer = b""
    assert (await (await rig.ask()).closed())[0] == 1013


async def test_a_terminal_that_starts_again_is_waited_for(rig: Rig) -> None:
    await rig.terminal.stop()
    asked = asyncio.create_task(rig.ask())
    await asyncio.sleep(0)
    await rig.terminal.start()
    assert (await asked).status == 101


async def test_operations(rig: Rig) -> None:
    for path in ("/healthz", "/readyz"):
        client = await rig.ask(path)
        assert (client.status, await client.rest()) == (200, b"ok\n")
    await rig.attached()
    client = await rig.ask("/metrics")
    text = (await client.rest()).decode()
    assert "codesessions_gateway_connections 1.0" in text
    assert 'codesessions_gateway_cache_stale_seconds{kind="apikeys"} 0.0' in text


async def test_it_serves_nobody_before_it_knows_the_cluster(rig: Rig) -> None:
    rig.caches.keys.synced.clear()
    assert (await rig.ask("/healthz")).status == 200
    assert (await rig.ask("/readyz")).status == 503
    client = await rig.ask()
    assert (client.status, (await problem_of(client))["code"]) == (503, "not_ready")
    assert client.headers["retry-after"]


async def test_it_goes_on_without_the_api_server(rig: Rig) -> None:
    rig.kube.go_away()
    client, terminal = await rig.attached()
    await terminal.send(BINARY, b"x")
    assert await client.next() == (BINARY, b"x")


async def test_one_organisation_leaves_room_for_the_others() -> None:
    async with gateway_rig(limit=4) as rig:
        await rig.kube.add_organization("other")
        other = await rig.kube.add_key("other")
        await rig.kube.add_session(namespace="other", ip=rig.terminal.ip)
        clients = [(await rig.attached())[0] for _ in range(3)]
        client = await rig.ask()
        assert (client.status, (await problem_of(client))["code"]) == (503, "overloaded")
        await client.close()
        await comes_in(rig, other.text)
        await clients[0].close()
        await comes_in(rig, rig.key)


async def comes_in(rig: Rig, key: str) -> None:
    """Within a while: who was refused, or has left, counts for a moment still."""
    for _ in range(600):
        client = await rig.ask(key=key)
        if client.status == 101:
            return
        await client.close()
        await asyncio.sleep(0.05)
    pytest.fail("nobody comes in")


async def test_too_many_are_told_to_try_again() -> None:
    async with gateway_rig(limit=1) as rig:
        await rig.attached()
        client = await rig.ask()
        assert (client.status, (await problem_of(client))["code"]) == (503, "overloaded")
        assert (await rig.ask("/healthz")).status == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"disabled": True}, 4401),
        ({"expiresAt": "2001-01-01T00:00:00Z"}, 4401),
        ({"scopes": ["code-sessions:write"]}, 4403),
    ],
)
async def test_who_came_with_a_key_leaves_with_it(rig: Rig, change: dict[str, object], code: int) -> None:
    client, _ = await rig.attached()
    name = next(name for kind, _, name in rig.kube.objects if kind == "APIKey")
    await rig.kube.patch(API_KEY, "demo", name, {"spec": change}, manager="t")
    assert (await client.closed())[0] == code


async def test_who_came_with_a_key_leaves_when_it_is_deleted(rig: Rig) -> None:
    client, _ = await rig.attached()
    name = next(name for kind, _, name in rig.kube.objects if kind == "APIKey")
    await rig.kube.delete(API_KEY, "demo", name)
    assert (await client.closed())[0] == 4401


async def test_a_key_that_expires_meanwhile_ends_it() -> None:
    moment = 1_700_000_000.0  # 2023-11-14T22:13:20Z
    async with gateway_rig(clock=lambda: moment) as rig:
        key = await rig.kube.add_key("demo", expiresAt="2023-11-14T22:13:21Z")
        await until("the key is known", lambda: rig.caches.keys.find(key.hash))
        client, _ = await rig.attached(key=key.text)
        assert await client.closed() == (4401, "This API key has expired.")


async def test_who_is_at_a_pod_that_was_replaced_is_told_to_connect_again(rig: Rig) -> None:
    client, _ = await rig.attached()
    await rig.kube.set_status(message="the same pod")
    await rig.kube.set_status(pod={"ip": "127.9.9.9"})
    assert await client.closed() == (1013, "the session has a new pod; connect again")


async def test_who_is_at_a_pod_that_is_going_stays_to_its_end(rig: Rig) -> None:
    client, terminal = await rig.attached()
    await rig.kube.set_status(phase="Completed", pod={"ip": None})
    await rig.kube.delete(CODE_SESSION, "demo", "cs-abc123")
    await until("it is told", lambda: not rig.caches.sessions.find("cs-abc123"))
    await terminal.send(BINARY, b"last words")
    assert await client.next() == (BINARY, b"last words")


async def test_stopping_tells_everybody_to_come_again(rig: Rig) -> None:
    client, terminal = await rig.attached()
    silent = await rig.connect()
    await terminal.send(BINARY, b"before")
    assert await client.next() == (BINARY, b"before")
    stopping = asyncio.create_task(rig.gateway.stop(120))
    code, reason = close_of((await client.next())[1])
    assert (code, reason) == (1012, "the gateway restarts; connect again")
    await client.send(CLOSE, b"\x03\xf4", masked=True)
    await client.close()
    await asyncio.wait_for(stopping, 60)
    assert await silent.rest() == b""
    assert await terminal.rest() != b"x"


async def test_stopping_does_not_wait_for_ever(rig: Rig) -> None:
    _, terminal = await rig.attached()
    await terminal.send(BINARY, b"x" * 1000)
    await asyncio.wait_for(rig.gateway.stop(0.05), 60)


async def test_attaching_is_written_down(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client, terminal = await rig.attached(X_Request_Id="mine-1")
    await terminal.close()
    await client.rest()
    await until("it is over", lambda: "detach" in caplog.messages)
    lines = {record.message: record.fields for record in caplog.records if hasattr(record, "fields")}
    assert lines["attach"].items() >= {"session": "cs-abc123", "userId": "u1", "requestId": "mine-1"}.items()
    assert lines["detach"]["why"] == "lost"
    assert rig.key not in caplog.text


async def test_a_refusal_to_attach_is_written_down_too(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await problem_of(await rig.ask(key="csk_guess", traceparent=f"00-{trace}-00f067aa0ba902b7-01"))
    (line,) = [record.fields for record in caplog.records if record.name == "audit"]  # type: ignore[attr-defined]
    assert (line["verb"], line["session"], line["result"]) == ("attach", "cs_abc123", "invalid_api_key")
    assert (line["key"], line["traceId"]) == (None, trace)
    assert "csk_guess" not in caplog.text


async def test_the_ids_of_a_request_go_on_to_the_terminal(rig: Rig) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    _, terminal = await rig.attached(X_Request_Id="mine-2", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert terminal.headers["x-request-id"] == "mine-2"
    assert terminal.headers["traceparent"].startswith(f"00-{trace}-")


async def test_an_address_that_guesses_is_held_up_and_a_good_key_is_not() -> None:
    async with gateway_rig(rate_limits={"unauthenticated": Limit("unauthenticated", 2, 600)}) as rig:
        codes = [(await problem_of(await rig.ask(key=f"csk_{number}")))["code"] for number in range(3)]
        assert codes == ["invalid_api_key", "invalid_api_key", "rate_limited"]
        await rig.attached()
