"""The HTTP calls, over real connections, with a launcher of straw."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from codesessions_sidecar import server as module
from codesessions_sidecar.journal import CAPACITY
from support.sidecar import ticket
from unit.sidecar.doubles import Place, eventually

BEARER = f"Authorization: Bearer {ticket()}\r\n"


async def test_a_sign_of_life_needs_nothing(here: Place) -> None:
    client = await here.client()
    assert (await client.call("GET", "/healthz", token=""))[0] == 200
    status, headers, body = await client.call("HEAD", "/healthz", token="")
    assert (status, headers["content-length"], body) == (200, "3", b"")
    assert (await client.call("GET", "/healthz", token=""))[0] == 200, "on the same connection"


@pytest.mark.parametrize(
    ("method", "target", "token", "status", "code"),
    [
        ("GET", "/nowhere", "", 404, "not_found"),
        ("DELETE", "/v1/output", "", 405, "method_not_allowed"),
        ("POST", "/v1/attach", "", 405, "method_not_allowed"),
        ("GET", "/v1/output", "", 401, "invalid_ticket"),
        ("GET", "/metrics", "", 401, "invalid_ticket"),
        ("GET", "/v1/output", ticket(scope=["write"]), 403, "missing_scope"),
        ("POST", "/v1/input", ticket(scope=["read"]), 403, "missing_scope"),
        ("POST", "/v1/resize", ticket(scope=["read"]), 403, "missing_scope"),
        ("GET", "/v1/output?after=-1", None, 400, "bad_parameter"),
        ("GET", "/v1/output?after=1e3", None, 400, "bad_parameter"),
        ("GET", "/v1/output?wait=61", None, 400, "bad_parameter"),
        ("GET", "/v1/output?raw=hex", None, 400, "bad_parameter"),
        ("POST", "/v1/input?inputSeq=x", None, 400, "bad_parameter"),
        ("GET", "/v1/attach", None, 426, "upgrade_required"),
        ("GET", "/v1/attach", "", 401, "invalid_ticket"),
    ],
)
async def test_refusals_are_problem_documents(
    here: Place, method: str, target: str, token: str | None, status: int, code: str
) -> None:
    client = await here.client()
    found, headers, body = await client.call(method, target, token=token)
    assert (found, body["status"], body["code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    if status == 401:
        assert headers["www-authenticate"] == "Bearer"
    if status == 405:
        assert headers["allow"]


async def test_output_can_be_read_in_pages(here: Place) -> None:
    await here.shell()
    client = await here.client()
    assert (await client.call("GET", "/v1/output"))[2] == {
        "chunks": [],
        "lastSeq": 0,
        "oldestSeq": 1,
        "truncated": False,
        "exit": None,
    }
    for number in range(5):
        await here.print(b"%d" % number)
    page = (await client.call("GET", "/v1/output?after=1&limit=3"))[2]
    assert [(chunk["seq"], chunk["text"]) for chunk in page["chunks"]] == [(2, "1"), (3, "2"), (4, "3")]
    assert page["lastSeq"] == 5
    assert page["chunks"][0]["createdAt"].endswith("Z")


async def test_the_exact_bytes_are_there_in_base64(here: Place) -> None:
    await here.shell()
    await here.print(b"a\xff\x00")
    _, _, body = await (await here.client()).call("GET", "/v1/output?raw=base64")
    assert body["chunks"][0]["data"] == "Yf8A"
    assert "text" not in body["chunks"][0]


async def test_a_long_poll_wakes_with_the_output(here: Place) -> None:
    await here.shell()
    client = await here.client()
    client.send("GET", "/v1/output?wait=60")
    answer = asyncio.create_task(client.answer())
    await eventually("somebody waits", lambda: len(asyncio.all_tasks()) > 2)
    here.launcher.print(b"now")
    assert [chunk["text"] for chunk in (await answer)[2]["chunks"]] == ["now"]


async def test_a_long_poll_wakes_with_the_end(here: Place) -> None:
    await here.shell()
    client = await here.client()
    client.send("GET", "/v1/output?wait=60")
    here.launcher.exit(7)
    assert (await client.answer())[2]["exit"] == {"code": 7, "signal": None}
    assert await eventually("it may go", here.launcher.told) == {"type": "drained"}


async def test_a_poller_that_hangs_up_is_forgotten_at_once(here: Place) -> None:
    await here.shell()
    client = await here.client()
    client.send("GET", "/v1/output?wait=60")
    await client.writer.drain()
    await eventually("it waits", lambda: len(here.server._connections) == 1)
    client.writer.close()
    await eventually("nobody waits", lambda: not here.server._connections)


async def test_input_reaches_the_shell_once(here: Place) -> None:
    await here.shell()
    client = await here.client()
    assert (await client.call("POST", "/v1/input?inputSeq=1", "é\n".encode()))[2] == {"bytes": 3}
    assert (await client.call("POST", "/v1/input?inputSeq=1", "é\n".encode()))[2] == {"bytes": 3}
    assert (await client.call("POST", "/v1/input", b"x"))[2] == {"bytes": 1}
    assert await eventually("it is typed", here.launcher.typed) == "é\nx".encode()
    assert (await client.call("POST", "/v1/input", b"\xff"))[0] == 400


async def test_a_full_queue_says_when_to_come_again(here: Place) -> None:
    client = await here.client()
    assert (await client.call("POST", "/v1/input", b"x" * CAPACITY))[0] == 200
    status, headers, body = await client.call("POST", "/v1/input?inputSeq=1", b"y")
    assert (status, headers["retry-after"], body["code"]) == (429, "1", "input_queue_full")
    await here.shell()
    assert await here.typed(CAPACITY) == b"x" * CAPACITY
    assert (await client.call("POST", "/v1/input?inputSeq=1", b"y"))[0] == 200, "the refused one did not count"
    assert await eventually("it is typed", here.launcher.typed) == b"y"


async def test_after_the_end_nothing_is_typed_but_a_retry_is_answered(here: Place) -> None:
    await here.shell()
    client = await here.client()
    assert (await client.call("POST", "/v1/input?inputSeq=1", b"exit\n"))[0] == 200
    here.launcher.exit(0)
    await eventually("it has ended", lambda: here.terminal.exit)
    assert (await client.call("POST", "/v1/input", b"x"))[2]["code"] == "shell_ended"
    assert (await client.call("POST", "/v1/input?inputSeq=1", b"exit\n"))[2] == {"bytes": 5}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"rows": 0, "cols": 80}', b'{"rows": true, "cols": 80}'])
async def test_a_size_must_be_one(here: Place, body: bytes) -> None:
    assert (await (await here.client()).call("POST", "/v1/resize", body))[0] == 400


async def test_a_resize_reaches_the_terminal_even_one_that_comes_later(here: Place) -> None:
    client = await here.client()
    assert (await client.call("POST", "/v1/resize", b'{"rows": 50, "cols": 132}'))[0] == 204
    await here.shell()
    assert here.launcher.size == (50, 132)
    assert (await client.call("POST", "/v1/resize", b'{"rows": 51, "cols": 132}'))[0] == 204
    assert here.launcher.size == here.terminal.size == (51, 132)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 20000 + b"\r\n\r\n", 431),
        (b"POST /v1/input HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413),
        (f"POST /v1/input HTTP/1.1\r\nHost: x\r\n{BEARER}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), 400),
        (b"POST /v1/input HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 401),
    ],
)
async def test_after_nonsense_the_connection_is_closed(here: Place, sent: bytes, status: int) -> None:
    client = await here.client()
    client.writer.write(sent)
    found, headers, _ = await client.answer()
    assert (found, headers["connection"]) == (status, "close")
    assert await client.at_end()


async def test_pipelined_requests_are_answered_in_order(here: Place) -> None:
    await here.shell()
    client = await here.client()
    client.send("POST", "/v1/input", b"one")
    client.send("GET", "/healthz", token="")
    client.send("POST", "/v1/input", b"three", more="Connection: close\r\n")
    answers: list[Any] = [(await client.answer())[2] for _ in range(3)]
    assert answers == [{"bytes": 3}, b"ok\n", {"bytes": 5}]
    assert await client.at_end()


async def test_a_client_that_does_not_say_what_it_wants_is_hung_up_on(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(module, "BODY_SECONDS", 0.05)
    for sent in (
        b"",
        b"GET /healthz",
        f"POST /v1/input HTTP/1.1\r\nHost: x\r\n{BEARER}Content-Length: 9\r\n\r\nab".encode(),
    ):
        client = await here.client()
        client.writer.write(sent)
        assert await client.at_end()


async def test_a_client_that_asks_first_is_told_to_go_on(here: Place) -> None:
    client = await here.client()
    client.send("POST", "/v1/input", b"", more="Expect: 100-continue\r\n")  # no body, nothing to wait for
    assert (await client.answer())[2] == {"bytes": 0}
    head = "POST /v1/input HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
    client.writer.write(f"{head}{BEARER}\r\n".encode())
    assert (await client.answer())[0] == 100
    client.writer.write(b"abc")
    assert (await client.answer())[2] == {"bytes": 3}
    client.writer.write(f"{head}\r\n".encode())
    assert (await client.answer())[0] == 401, "before the body is sent"


async def test_too_many_connections_are_refused(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    clients = [await here.client() for _ in range(2)]
    for client in clients:
        assert (await client.call("GET", "/healthz"))[0] == 200
    refused = await here.client()
    assert (await refused.answer())[0] == 503
    clients[0].writer.close()
    await eventually("there is room", lambda: len(here.server._connections) < 2)
    assert (await (await here.client()).call("GET", "/healthz"))[0] == 200
