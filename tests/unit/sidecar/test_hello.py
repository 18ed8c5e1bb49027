from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.hello import Hello, parse, stream_socket
from hypothesis import given
from hypothesis import strategies as st

GOOD: dict[str, Any] = {
    "v": 1,
    "type": "hello",
    "epoch": 5,
    "taken": 3,
    "given": 2,
    "rows": 50,
    "cols": 132,
    "state": "running",
    "code": None,
    "signal": None,
}


def test_a_hello_is_understood() -> None:
    assert Hello.read(GOOD) == Hello(5, 3, 2, (50, 132), None)
    assert Hello.read({**GOOD, "state": "exited", "code": 7}) == Hello(5, 3, 2, (50, 132), Exit(7, None))
    assert Hello.read({**GOOD, "rows": 0}) == Hello(5, 3, 2, None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"type": "exit"},
        {"state": []},
        {"state": "asleep"},
        {"state": "exited"},
        {"epoch": -1},
        {"epoch": 1 << 63},
        {"taken": 1.5},
        {"given": True},
        {"given": None},
    ],
)
def test_what_is_not_plausible_is_no_hello(change: dict[str, Any]) -> None:
    assert Hello.read({**GOOD, **change}) is None


@given(st.binary())
def test_no_packet_breaks_it(packet: bytes) -> None:
    assert Hello.read(parse(packet)) is None


def test_a_packet_of_brackets_is_nothing() -> None:
    assert parse(b"[" * 4096) == {}


def test_only_a_unix_stream_socket_is_taken_for_one(tmp_path: Any) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    taken = stream_socket(os.dup(one.fileno()))
    assert taken is not None
    for each in (one, other, taken):
        each.close()
    datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    internet = socket.socket()
    with (tmp_path / "file").open("wb") as file:
        for each in (datagrams[0], internet, file):
            descriptor = os.dup(each.fileno())
            assert stream_socket(descriptor) is None
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)  # it was closed
    for each in (*datagrams, internet):
        each.close()
