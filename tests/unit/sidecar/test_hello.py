from __future__ import annotations

from typing import Any

import pytest
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.hello import Hello, parse
from hypothesis import given
from hypothesis import strategies as st

GOOD: dict[str, Any] = {
    "v": 2,
    "type": "hello",
    "epoch": 5,
    "state": "running",
    "code": None,
    "signal": None,
}


def test_a_hello_is_understood() -> None:
    assert Hello.read(GOOD) == Hello(5, None)
    assert Hello.read({**GOOD, "state": "exited", "code": 7}) == Hello(5, Exit(7, None))


@pytest.mark.parametrize(
    "change",
    [
        {"v": 1},
        {"type": "exit"},
        {"state": []},
        {"state": "asleep"},
        {"state": "exited"},
        {"epoch": -1},
        {"epoch": 1 << 63},
        {"epoch": 1.5},
        {"epoch": True},
        {"epoch": None},
    ],
)
def test_what_is_not_plausible_is_no_hello(change: dict[str, Any]) -> None:
    assert Hello.read({**GOOD, **change}) is None


@given(st.binary())
def test_no_packet_breaks_it(packet: bytes) -> None:
    assert Hello.read(parse(packet)) is None


def test_a_packet_of_brackets_is_nothing() -> None:
    assert parse(b"[" * 4096) == {}
