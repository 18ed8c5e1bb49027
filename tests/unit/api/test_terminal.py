"""The calls about terminals, over HTTP, with a sidecar that does as a test says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from codesessions_api.tickets import address_of
from codesessions_crds.credentials import verify_ticket, workspace_key
from codesessions_kube.kinds import CODE_SESSION
from support.restapi import MASTER_KEY, ONE, PAGE, Rest, until

EMPTY = {**PAGE, "chunks": []}


async def test_input_is_typed_byte_for_byte(running: Rest) -> None:
    text = "é\x03\x00\U0001f9ea\n"
    answer = await running.call("POST", f"{ONE}/input", {"text": text})
    assert answer.json == {"sent": True, "bytes": len(text.encode())}
    assert running.sidecar.calls == [("POST", "/v1/input", {}, text.encode())]
    ticket = running.ticket()
    assert (ticket.session_id, ticket.scope, ticket.user_id) == ("cs_abc123", ("write",), "u1")


async def test_nothing_may_be_typed(running: Rest) -> None:
    assert (await running.call("POST", f"{ONE}/input", {"text": ""})).json == {"sent": True, "bytes": 0}


async def test_a_number_goes_along(running: Rest) -> None:
    await running.call("POST", f"{ONE}/input", {"text": "x", "inputSeq": 2**63 - 1})
    assert running.sidecar.calls[-1][2] == {"inputSeq": str(2**63 - 1)}


async def test_input_waits_for_a_session_that_is_created(rest: Rest) -> None:
    await rest.kube.add_session(phase="Creating")
    refused = await rest.call("POST", f"{ONE}/input", {"text": "x"})
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (409, "session_not_running", "1")
    waiting = asyncio.create_task(rest.call("POST", f"{ONE}/input", {"text": "x"}, Prefer="wait=30"))
    await until("it is held", lambda: rest.application.metrics.held._value.get() == 1)
    await rest.kube.set_status(phase="Running", startedAt="2025-02-01T14:25:02Z", pod={"ip": rest.sidecar.ip})
    assert (await waiting).status == 200
    assert rest.sidecar.calls[-1][3] == b"x"


async def test_output_passes_the_parameters_and_the_page(running: Rest) -> None:
    answer = await running.call("GET", f"{ONE}/output?afterSeq=7&limit=999999999")
    assert answer.json == {"sessionId": "cs_abc123", **PAGE}
    assert running.sidecar.calls[-1][2] == {"after": "7", "limit": str(256 << 10), "wait": "0"}
    assert running.ticket().scope == ("read",)


async def test_exact_bytes_come_as_base64(running: Rest) -> None:
    page = {**PAGE, "chunks": [{"seq": 1, "data": "/w==", "createdAt": "2025-02-01T14:25:01Z"}]}
    running.sidecar.say(200, json.dumps(page))
    answer = await running.call("GET", f"{ONE}/output?raw=base64")
    assert running.sidecar.calls[-1][2]["raw"] == "base64"
    assert answer.json["chunks"] == page["chunks"]
    assert (await running.call("GET", f"{ONE}/output?raw=hex")).code == "invalid_parameter"
    assert (await running.call("GET", f"{ONE}/output")).code == "terminal_unavailable"  # text was asked for


async def test_who_types_may_be_named(running: Rest) -> None:
    await running.call("POST", f"{ONE}/input", {"text": "x", "inputSeq": 1, "writer": "a&b=\u00e9\0"})
    assert running.sidecar.calls[-1][2] == {"inputSeq": "1", "writer": "a&b=\u00e9\0"}


async def test_a_shell_that_has_never_run_has_no_output_yet(rest: Rest) -> None:
    await rest.kube.add_session(phase="Creating")
    assert (await rest.call("GET", f"{ONE}/output")).json == {"sessionId": "cs_abc123", **EMPTY, "lastSeq": 0}
    waiting = asyncio.create_task(rest.call("GET", f"{ONE}/output", Prefer="wait=30"))
    await until("it is held", lambda: rest.application.metrics.held._value.get() == 1)
    await rest.kube.set_status(phase="Running", startedAt="2025-02-01T14:25:02Z", pod={"ip": rest.sidecar.ip})
    assert (await waiting).json["chunks"] == PAGE["chunks"]


async def test_a_shell_whose_pod_is_replaced_has_output_that_cannot_be_read_now(running: Rest) -> None:
    await running.kube.set_status(phase="Creating")
    caches = running.application.context.caches  # type: ignore[union-attr]
    await until("it is told", lambda: caches.sessions.get("demo", "cs-abc123")["status"]["phase"] == "Creating")  # type: ignore[index]
    assert (await running.call("GET", f"{ONE}/output?afterSeq=5")).code == "session_not_running"


async def test_exact_bytes_are_asked_for_and_passed_on(running: Rest) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["raw"] == "base64"
        chunk = {"seq": 12, "data": "Yf8A", "createdAt": "2025-02-01T14:25:01Z"}
        return web.json_response({**PAGE, "chunks": [chunk]})

    running.sidecar.answer = answer
    found = await running.call("GET", f"{ONE}/output?raw=base64")
    assert [each["data"] for each in found.json["chunks"]] == ["Yf8A"]
    assert (await running.call("GET", f"{ONE}/output?raw=hex")).code == "invalid_parameter"


class Held:
    """A sidecar that holds what it is asked until told."""

    def __init__(self, rest: Rest) -> None:
        self.go, self.asked = asyncio.Event(), asyncio.Event()
        rest.sidecar.answer = self.answer

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("wait", "0") == "0":
            return web.json_response(EMPTY)
        self.asked.set()
        await self.go.wait()
        return web.json_response(PAGE)


async def test_a_long_poll_is_answered_when_there_is_output(running: Rest) -> None:
    held = Held(running)
    waiting = asyncio.create_task(running.call("GET", f"{ONE}/output?afterSeq=0", Prefer="wait=99999999999"))
    await held.asked.wait()
    assert running.sidecar.calls[-1][2]["wait"] == "60"
    held.go.set()
    answer = await asyncio.wait_for(waiting, 20)
    assert answer.json["chunks"] == PAGE["chunks"]
    assert answer.headers["preference-applied"] == "wait=60"


async def test_who_hangs_up_is_not_waited_for(running: Rest) -> None:
    held = Held(running)
    waiting = asyncio.create_task(running.call("GET", f"{ONE}/output", Prefer="wait=30"))
    await held.asked.wait()
    waiting.cancel()
    await until("the sidecar is let go", lambda: running.sidecar.hung_up == 1)


async def test_leaving_answers_what_is_held(running: Rest) -> None:
    held = Held(running)
    waiting = asyncio.create_task(running.call("GET", f"{ONE}/output", Prefer="wait=30"))
    await held.asked.wait()
    running.application.leave()
    assert (await asyncio.wait_for(waiting, 20)).json["chunks"] == []
    assert (await running.call("GET", "/readyz", check=False)).status == 503
    assert (await running.call("GET", f"{ONE}/output", Prefer="wait=30")).json["chunks"] == []


async def test_leaving_answers_those_who_wait_for_a_start(rest: Rest) -> None:
    await rest.kube.add_session(phase="Creating")
    waiting = asyncio.create_task(rest.call("POST", f"{ONE}/input", {"text": "x"}, Prefer="wait=30"))
    await until("it is held", lambda: rest.application.metrics.held._value.get() == 1)
    rest.application.leave()
    assert (await asyncio.wait_for(waiting, 20)).code == "session_not_running"


async def test_a_long_poll_outlives_the_sidecars_restart(running: Rest) -> None:
    held = Held(running)
    waiting = asyncio.create_task(running.call("GET", f"{ONE}/output", Prefer="wait=30"))
    await held.asked.wait()
    await running.sidecar.stop()
    running.sidecar.answer = running.sidecar._as_usual
    await running.sidecar.start()
    assert (await asyncio.wait_for(waiting, 20)).json["chunks"] == PAGE["chunks"]


async def test_a_long_poll_learns_that_the_session_ended_meanwhile(running: Rest) -> None:
    held = Held(running)
    waiting = asyncio.create_task(running.call("GET", f"{ONE}/output", Prefer="wait=30"))
    await held.asked.wait()
    await running.call("DELETE", ONE)
    await running.kube.set_status(phase="Completed")
    await running.sidecar.stop()
    assert (await asyncio.wait_for(waiting, 20)).code == "output_gone"


@pytest.mark.parametrize(("body", "status"), [({"text": "x"}, 503), ({"text": "x", "inputSeq": 1}, 200)])
async def test_only_numbered_input_is_sent_again_when_it_is_not_known_whether_it_came(
    running: Rest, body: dict[str, Any], status: int
) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        running.sidecar.answer = running.sidecar._as_usual
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    running.sidecar.answer = cut
    assert (await running.call("POST", f"{ONE}/input", body)).status == status


async def test_resize_is_passed_on(running: Rest) -> None:
    answer = await running.call("POST", f"{ONE}/resize", {"rows": 24, "cols": 80})
    assert (answer.status, answer.text) == (204, b"")
    assert json.loads(running.sidecar.calls[-1][3]) == {"rows": 24, "cols": 80}


async def test_the_last_output_of_a_completed_session_can_be_read_while_its_pod_is_there(running: Rest) -> None:
    running.sidecar.say(200, json.dumps({**PAGE, "exit": {"code": 7, "signal": None}}))
    await running.call("DELETE", ONE)
    assert (await running.call("GET", f"{ONE}/output")).json["exit"] == {"code": 7, "signal": None}
    assert (await running.call("POST", f"{ONE}/input", {"text": "x"})).code == "session_completed"


async def test_a_shell_that_has_ended_takes_no_input(running: Rest) -> None:
    running.sidecar.say(409)
    assert (await running.call("POST", f"{ONE}/input", {"text": "x"})).code == "session_completed"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        json.dumps({**PAGE, "lastSeq": -1}).encode(),
        json.dumps({**PAGE, "lastSeq": True}).encode(),
        json.dumps({**PAGE, "chunks": 7}).encode(),
        json.dumps({**PAGE, "chunks": "text"}).encode(),
        json.dumps({**PAGE, "chunks": [{"seq": 1, "text": 7, "createdAt": "x"}]}).encode(),
        json.dumps({**PAGE, "exit": 7}).encode(),
        b'{"chunks": [{"seq": 1, "text": "\\ud800", "createdAt": ""}], "lastSeq": 1, "oldestSeq": 1, "exit": null}',
        b" " * (3 << 20),
    ],
)
async def test_what_is_no_page_is_not_passed_on(running: Rest, text: bytes) -> None:
    running.sidecar.say(200, text)
    answer = await running.call("GET", f"{ONE}/output")
    assert (answer.status, answer.code) == (503, "terminal_unavailable")


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 418, 500])
async def test_a_sidecar_that_says_something_else_is_unavailable(running: Rest, status: int) -> None:
    async def odd(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/", "Set-Cookie": "a=b"})

    running.sidecar.answer = odd
    answer = await running.call("GET", f"{ONE}/output")
    assert (answer.status, answer.code) == (503, "terminal_unavailable")
    assert "set-cookie" not in answer.headers


async def test_a_sidecar_that_is_not_there_is_unavailable(running: Rest) -> None:
    await running.sidecar.stop()
    assert (await running.call("POST", f"{ONE}/input", {"text": "x"})).code == "terminal_unavailable"


@pytest.mark.parametrize("ip", [None, "", "example.com", "127.0.0.1/8", "1.2.3.4:80", 7, "::1%eth0/x"])
def test_only_an_address_is_an_address(ip: object) -> None:
    assert address_of({"status": {"pod": {"ip": ip}}}) is None


def test_both_families_are_addresses() -> None:
    assert address_of({"status": {"pod": {"ip": "10.0.0.7"}}}) == ("10.0.0.7", 7681)
    assert address_of({"status": {"pod": {"ip": "fd00::7"}}}) == ("fd00::7", 7681)


async def test_a_ticket_is_for_this_session_and_for_what_the_key_may(running: Rest) -> None:
    reader = (await running.kube.add_key("demo", "read")).text
    caches = running.application.context.caches  # type: ignore[union-attr]
    await until("the key is known", lambda: len(caches.keys.items()) == 2)
    uid = (await running.kube.get(CODE_SESSION, "demo", "cs-abc123"))["metadata"]["uid"]
    for key, scope in ((running.key, ("read", "write")), (reader, ("read",))):
        answer = await running.call("POST", f"{ONE}/tickets", key=key)
        assert answer.status == 201
        ticket = verify_ticket(workspace_key(MASTER_KEY, "demo", uid), answer.json["ticket"], now=0)
        assert (ticket.session_id, ticket.uid, ticket.scope, ticket.user_id) == ("cs_abc123", uid, scope, "u1")
