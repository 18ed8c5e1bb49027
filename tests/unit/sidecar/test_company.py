"""Several viewers at one terminal, each in its dialect: roles, sizes, flow control, and what the log says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from codesessions_sidecar import attach as module
from support.sidecar import ticket
from unit.sidecar.doubles import Place, WebSocket, eventually

OURS = "codesessions.v1"


async def until(viewer: WebSocket, kind: str) -> dict[str, Any]:
    """The next message of this type, past others."""
    while (message := await viewer.message())["type"] != kind:
        pass
    return message


async def test_ttyd_gets_output_once_it_has_said_its_size(here: Place) -> None:
    await here.shell()
    await here.print(b"before")
    viewer = await here.websocket("", "tty")
    assert viewer.protocol.subprotocol == "tty"
    viewer.send(b"0too early\n")
    viewer.send(json.dumps({"AuthToken": "", "columns": 100, "rows": 30}).encode())
    assert [bytes((await viewer.next()).data) for _ in range(3)] == [b"1cs_test", b"2{}", b"0before"]
    await eventually("the size is set", lambda: here.launcher.size == (30, 100))
    viewer.send(b"2")
    viewer.send(b"0x")
    assert await here.typed(11) == b"too early\nx"
    await here.print(b"held")
    viewer.send(b"3")
    assert bytes((await viewer.next()).data) == b"0held"


async def test_a_channel_of_kubernetes(here: Place) -> None:
    await here.shell()
    viewer = await here.websocket("", "v5.channel.k8s.io")
    assert bytes((await viewer.next()).data) == b"\1"
    viewer.send(b'\4{"Width":100,"Height":30}')
    await eventually("the size is set", lambda: here.launcher.size == (30, 100))
    viewer.send(b"\0ls\n")
    assert await here.typed(3) == b"ls\n"
    here.launcher.print(b"out")
    assert bytes((await viewer.next()).data) == b"\1out"
    viewer.send(b"\xff\0")
    viewer.send(b"\0late")
    other = await here.websocket()
    other.send(b"!")
    assert await here.typed(1) == b"!"
    here.launcher.exit(7)
    assert bytes((await viewer.next()).data).startswith(b'\3{"metadata": {}, "status": "Failure"')
    assert await viewer.closed() == (1000, "exit 7")


async def test_terminado_is_chosen_by_the_query(here: Place) -> None:
    await here.shell()
    viewer = await here.websocket("?dialect=terminado")
    assert json.loads(bytes((await viewer.next()).data)) == ["setup", {}]
    viewer.send(json.dumps(["stdin", "é"]))
    assert await here.typed(2) == "é".encode()
    here.launcher.print("ö".encode())
    assert json.loads(bytes((await viewer.next()).data)) == ["stdout", "ö"]
    here.launcher.exit(0)
    assert json.loads(bytes((await viewer.next()).data)) == ["disconnect", 1]
    assert await viewer.closed() == (1000, "exit 0")


@pytest.mark.parametrize("query", ["?dialect=telnet", "?role=admin", "?window=1", "?raw=hex", "?writer=" + 65 * "x"])
async def test_what_cannot_be_asked_for_is_refused_before_the_handshake(here: Place, query: str) -> None:
    viewer = await here.websocket(query)
    assert "400" in str(viewer.protocol.handshake_exc)


async def test_who_only_looks_on_neither_types_nor_sizes(here: Place) -> None:
    await here.shell()
    looker = await here.websocket("?role=viewer", OURS)
    hello = await looker.message()
    assert (hello["role"], hello["viewers"], hello["writers"]) == ("viewer", 1, 0)
    looker.send({"type": "input", "text": "x", "inputSeq": 3})
    assert await looker.message() == {"type": "error", "code": "read_only", "inputSeq": 3}
    looker.send({"type": "resize", "rows": 1, "cols": 1})
    assert await looker.message() == {"type": "error", "code": "read_only"}
    raw = await here.websocket("?role=viewer")
    raw.send(b"x")
    raw.protocol.send_ping(b"")
    raw.flush()
    await raw.next()
    assert here.launcher.typed() == b""
    assert here.terminal.size == (24, 80)


async def test_the_company_and_the_size_are_told(here: Place) -> None:
    await here.shell()
    first = await here.websocket("", OURS)
    await first.message()
    second = await here.websocket("?dialect=ttyd")
    assert await until(first, "viewers") == {"type": "viewers", "viewers": 2, "writers": 2}
    first.send({"type": "resize", "rows": 50, "cols": 200})
    assert await until(first, "size") == {"type": "size", "rows": 50, "cols": 200}
    second.send(b'1{"rows":60,"columns":100}')
    assert await until(first, "size") == {"type": "size", "rows": 50, "cols": 100}
    second.protocol.send_close(1000)
    second.flush()
    assert await until(first, "size") == {"type": "size", "rows": 50, "cols": 200}
    assert (await (await here.client()).call("POST", "/v1/resize", b'{"rows": 9, "cols": 9}'))[0] == 204
    assert await until(first, "size") == {"type": "size", "rows": 9, "cols": 9}


async def test_input_with_a_number_is_answered(here: Place) -> None:
    await here.shell()
    ann = await here.websocket("?writer=ann", OURS)
    assert (await ann.message())["inputSeq"] == 0
    for _ in range(2):
        ann.send({"type": "input", "text": "é", "inputSeq": 1})
        assert await ann.message() == {"type": "typed", "inputSeq": 1, "bytes": 2}
    bob = await here.websocket("?writer=bob", OURS)
    assert (await bob.message())["inputSeq"] == 0
    bob.send({"type": "input", "data": "/w==", "inputSeq": 1})
    assert await bob.message() == {"type": "typed", "inputSeq": 1, "bytes": 1}
    assert here.launcher.typed() == b"\xc3\xa9\xff"
    again = await here.websocket("?writer=ann", OURS)
    assert (await again.message())["inputSeq"] == 1
    again.send({"type": "ping"})
    assert await until(again, "pong")
    here.launcher.exit(0)
    assert (await until(again, "exit"))["code"] == 0


async def test_a_window_holds_output_back_until_it_is_acknowledged(here: Place) -> None:
    await here.shell()
    viewer = await here.websocket("?afterSeq=0&window=4096", OURS)
    assert (await viewer.message())["window"] == 4096
    for number in range(5):
        await here.print(bytes([65 + number]) * 2000)
    assert [(await viewer.message())["seq"] for _ in range(3)] == [1, 2, 3], "the window is full with the third"
    viewer.send({"type": "ping"})
    assert (await viewer.message())["type"] == "pong", "and nothing before it"
    viewer.send({"type": "ack", "seq": 2})
    assert (await viewer.message())["seq"] == 4
    viewer.send({"type": "ack", "seq": 10**6})
    assert (await viewer.message())["seq"] == 5, "more than was sent cannot be acknowledged"


async def test_exact_bytes_of_our_own_dialect(here: Place) -> None:
    await here.shell()
    for text in (b"\xff", b"\x00"):
        await here.print(text)
    viewer = await here.websocket("?afterSeq=0&raw=binary", OURS)
    await viewer.message()
    assert bytes((await viewer.next()).data) == (2).to_bytes(8, "big") + b"\xff\x00"


@pytest.mark.parametrize("key", ["\x03", "\x1c", "\x1a"])
async def test_an_interrupt_drops_the_lag_of_who_types_it(here: Place, key: str) -> None:
    await here.shell()
    viewer = await here.websocket("?afterSeq=0&window=4096", OURS)
    await viewer.message()
    for _ in range(6):
        await here.print(b"x" * 60_000)
    assert (await viewer.message())["seq"] == 1
    viewer.send({"type": "input", "text": key})
    last = here.terminal.spool.last_seq
    assert await viewer.message() == {"type": "truncated", "oldestSeq": last + 1}
    assert (await viewer.message())["type"] == "screen", "into the state of there"
    await here.print(b"prompt")
    assert (await viewer.message())["text"] == "prompt"
    other = await here.websocket("?afterSeq=0&window=4096")
    assert len(await other.bytes_until(b"prompt")) == 360_006, "the log has all of it"


async def test_an_interrupt_leaves_a_small_lag_alone(here: Place) -> None:
    await here.shell()
    viewer = await here.websocket("?afterSeq=0&window=4096", OURS)
    await viewer.message()
    await here.print(b"x" * 60_000)
    await here.print(b"end")
    assert (await viewer.message())["seq"] == 1
    viewer.send({"type": "input", "text": "\x03"})
    text = ""
    for seq in range(2, here.terminal.spool.last_seq + 1):
        viewer.send({"type": "ack", "seq": seq - 1})
        message = await viewer.message()
        assert message["seq"] == seq
        text += message["text"]
    assert text.endswith("xend"), "nothing was dropped"


async def test_one_line_when_a_viewer_comes_and_one_when_it_goes(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "log", lambda event, **details: lines.append({"event": event, **details}))
    await here.shell()
    viewer = await here.websocket("?role=viewer", "tty", token=ticket(usr="ann"))
    viewer.send(b"0secret")
    viewer.send(b"{}")
    await viewer.next()
    viewer.protocol.send_close(1000)
    viewer.flush()
    await viewer.closed()
    await eventually("it is gone", lambda: len(lines) == 2)
    who = {"session": "cs_test", "user": "ann", "dialect": "ttyd", "role": "viewer"}
    assert lines[0] == {"event": "attach", **who, "viewers": 1}
    seconds = lines[1].pop("seconds")
    assert 0 <= seconds < 300
    assert lines[1] == {"event": "detach", **who, "bytesOut": 11, "bytesIn": 9, "why": "client", "viewers": 0}
    assert "secret" not in str(lines)


async def test_the_log_says_why_a_viewer_went(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    why: list[str] = []
    monkeypatch.setattr(module, "log", lambda _, **details: why.append(details["why"]) if "why" in details else None)
    await here.shell()

    async def gone(count: int) -> None:
        await eventually("it is gone", lambda: len(why) == count)

    cut = await here.websocket()
    cut._client.writer.transport.abort()
    await gone(1)
    wrong = await here.websocket("", OURS)
    wrong.send("nonsense")
    await wrong.closed()
    await gone(2)
    here.launcher.exit(0)
    await (await here.websocket()).closed()
    await gone(3)
    assert why == ["lost", "refused", "ended"]
