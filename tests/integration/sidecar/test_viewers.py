"""Viewers at the real sidecar with a real shell: several at once, through kills, slow ones, and their log lines."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.sidecar import Rig, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

Shell = Callable[..., Rig]
Attach = Callable[..., ClientConnection]
OURS = "codesessions.v1"


@pytest.fixture
def attach() -> Iterator[Attach]:
    with contextlib.ExitStack() as stack:

        def one(rig: Rig, query: str = "", subprotocol: str | None = None, receive_buffer: int = 0) -> ClientConnection:
            made = socket.socket()
            if receive_buffer:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            made.connect(("127.0.0.1", rig.port))
            connection = connect(
                f"ws://127.0.0.1:{rig.port}/v1/attach{query}",
                sock=made,
                subprotocols=[Subprotocol(subprotocol)] if subprotocol else None,
                additional_headers={"Authorization": f"Bearer {rig.token}"},
                compression=None,
                max_size=None,
                max_queue=1,
                ping_interval=None,
                close_timeout=0.2,
                proxy=None,
            )
            return stack.enter_context(connection)

        yield one


def read(connection: ClientConnection, marker: bytes, head: int = 0) -> bytes:
    """Bytes without each message's head, until `marker` is among them."""
    found = bytearray()
    while marker not in found[-len(marker) - 65536 :]:
        message = connection.recv(timeout=60)
        assert isinstance(message, bytes)
        found += message[head:]
    return bytes(found)


def told(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message of this type, past others."""
    while (message := json.loads(connection.recv(timeout=60)))["type"] != kind:
        pass
    found: dict[str, Any] = message
    return found


def resident_mib(rig: Rig) -> float:
    assert rig.sidecar is not None
    lines = Path(f"/proc/{rig.sidecar.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def test_five_viewers_in_five_dialects_see_the_same_and_take_little_memory(shell: Shell, attach: Attach) -> None:
    rig = shell("/bin/sh", "-c", "stty raw -echo; echo on; head -c 12; seq -w 200000; printf '<end>'; exit 7")
    raw = attach(rig, "?afterSeq=0")
    ttyd = attach(rig, "?afterSeq=0", "tty")
    ttyd.send(b'{"AuthToken":"","columns":120,"rows":40}')
    channel = attach(rig, "?afterSeq=0", "v5.channel.k8s.io")
    terminado = attach(rig, "?afterSeq=0&dialect=terminado")
    ours = attach(rig, "?afterSeq=0", OURS)
    assert read(raw, b"on\n") == b"on\n"
    hello = told(ours, "hello")
    assert (hello["rows"], hello["cols"], hello["viewers"]) == (40, 120, 5)
    assert resident_mib(rig) <= 30
    ttyd.send(b"0ab")
    channel.send(b"\0cd")
    terminado.send(json.dumps(["stdin", "ef"]))
    ours.send(json.dumps({"type": "input", "text": "ghijk", "inputSeq": 1}))
    until(
        "all but one are typed",
        lambda: "codesessions_pty_input_bytes_total 11" in rig.call("GET", "/metrics")[1]["text"],
    )
    raw.send(b"l")
    shown = read(raw, b"<end>")
    assert sorted(shown[:12]) == sorted(b"abcdefghijkl")
    numbers = "".join(f"{number:06}\n" for number in range(1, 200_001)).encode()
    assert shown[12:] == numbers + b"<end>"
    whole = b"on\n" + shown
    assert [ttyd.recv(timeout=60) for _ in range(2)] == [b"1cs_test", b"2{}"]
    assert read(ttyd, b"<end>", 1) == whole
    assert read(channel, b"<end>", 1) == whole
    text = ""
    while (message := json.loads(terminado.recv(timeout=60)))[0] != "disconnect":
        text += message[1] if message[0] == "stdout" else ""
    assert text.encode() == whole
    text = ""
    while (answer := json.loads(ours.recv(timeout=60)))["type"] != "exit":
        text += answer.get("text", "")
    assert text.encode() == whole
    assert answer == {"type": "exit", "code": 7, "signal": None}
    status = channel.recv(timeout=60)
    assert isinstance(status, bytes)
    assert json.loads(status[1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
    for connection in (raw, ttyd, channel, terminado, ours):
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "exit 7")
    assert resident_mib(rig) <= 30


def test_who_resumes_after_kills_misses_nothing_and_types_nothing_twice(shell: Shell, attach: Attach) -> None:
    rig = shell("/bin/sh", "-c", "stty raw -echo; echo on; exec cat")
    rig.read_until("on\n")
    chance = random.Random(5)
    words, answered, seen, text = [f"<{number}>" for number in range(1, 301)], 0, 0, ""
    deaths = 0
    while not text.endswith(words[-1]):
        with contextlib.suppress(ConnectionClosed, OSError, EOFError):
            viewer = attach(rig, f"?afterSeq={seen}&writer=me", OURS)
            hello = told(viewer, "hello")
            assert hello["inputSeq"] >= answered
            answered = hello["inputSeq"]
            for number, word in enumerate(words[answered:], answered + 1):
                viewer.send(json.dumps({"type": "input", "text": word, "inputSeq": number}))
            patience = chance.randrange(1, 60)
            while not text.endswith(words[-1]):
                if (patience := patience - 1) == 0 and deaths < 8:
                    rig.kill_sidecar()
                    rig.start_sidecar()
                    deaths += 1
                message = json.loads(viewer.recv(timeout=60))
                if message["type"] == "typed":
                    assert message["inputSeq"] == answered + 1
                    answered = message["inputSeq"]
                elif message["type"] == "output":
                    assert message["seq"] == seen + 1
                    seen, text = message["seq"], text + message["text"]
    assert deaths > 0
    assert text == "on\n" + "".join(words)


@pytest.mark.parametrize("bytes_per_second", [None, 4_000_000])
def test_ctrl_c_leaves_little_stale_output_also_for_who_is_slow(
    shell: Shell, attach: Attach, bytes_per_second: int | None
) -> None:
    rig = shell("/bin/bash", "--norc")
    rig.type("PS1=PRO''MPT; stty -echo; echo rea''dy\n")
    _, seen = rig.read_until("ready")
    viewer = attach(rig, f"?afterSeq={seen}", receive_buffer=32768)
    viewer.send(b"yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678\n")
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < 1.5:
        count += len(viewer.recv(timeout=60))
        if bytes_per_second is not None:
            ahead = count / bytes_per_second - (time.monotonic() - begun)
            time.sleep(max(0.0, ahead))
    viewer.send(b"\x03")
    assert len(read(viewer, b"PROMPT")) <= 2_000_000  # of 32 MiB; how near to 0.5 MB it comes is for the benchmark


def test_a_line_is_logged_for_each_coming_and_going_and_none_has_what_was_typed(shell: Shell, attach: Attach) -> None:
    rig = shell("/bin/sh", "-c", "stty raw -echo; echo on; exec cat")
    rig.read_until("on\n")
    viewer = attach(rig, "", "tty")
    viewer.send(b"{}")
    viewer.send(b"0hunter2")
    assert b"hunter2" in read(viewer, b"hunter2", 1)
    viewer.close()
    path = rig.folder / "sidecar-1.log"
    until("it has gone", lambda: '"detach"' in path.read_text())
    assert "hunter2" not in path.read_text()
    lines = [line for line in map(json.loads, path.read_text().splitlines()) if line["event"] in {"attach", "detach"}]
    who = {"session": "cs_test", "user": "u", "dialect": "ttyd", "role": "writer"}
    assert [{name: line[name] for name in who} for line in lines] == [who, who]
    assert (lines[1]["why"], lines[1]["bytesIn"]) == ("client", 10)
