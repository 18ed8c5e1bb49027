"""Promise 6: the last byte comes before the end, in every dialect and by REST."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.conformance import Start
from support.viewer import DIALECTS, Viewer

Attach = Callable[..., Viewer]
LAST = "read x; head -c 200000 /dev/zero | tr '\\0' x; echo last; exit 7"


def what_it_says(viewer: Viewer) -> Any:
    """How the dialect tells the end, besides the close code."""
    if viewer.dialect == "codesessions.v1":
        return viewer.told[-1]
    if viewer.dialect == "channel":
        assert viewer.told[-1][:1] == b"\3"
        return json.loads(viewer.told[-1][1:])["details"]["causes"]
    return viewer.told[-1] if viewer.dialect == "terminado" else None


SAID = {
    "codesessions.v1": {"type": "exit", "code": 7, "signal": None},
    "channel": [{"reason": "ExitCode", "message": "7"}],
    "terminado": ["disconnect", 1],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_last_byte_then_the_code_then_the_close(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start(f"stty -echo; echo on; {LAST}")
    viewer = attach(terminal, dialect, after=terminal.begin)
    viewer.until(b"on\r\n")
    viewer.type("\n")
    assert viewer.rest() == b"on\r\n" + b"x" * 200_000 + b"last\r\n"
    assert viewer.ended == (1000, "exit 7")
    assert what_it_says(viewer) == SAID.get(dialect)


def test_a_command_that_ends_at_once_loses_nothing(start: Start) -> None:
    terminal = start("echo x; exit 7")
    assert terminal.until_exit() == {"code": 7, "signal": None}
    assert "".join(chunk["text"] for chunk in terminal.all_chunks()) == "x\r\n"


def test_death_by_signal_is_told(start: Start, attach: Attach) -> None:
    terminal = start("stty -echo; echo on; read x; kill -9 $$")
    viewer = attach(terminal, "codesessions.v1", after=terminal.begin)
    viewer.until(b"on")
    viewer.type("\n")
    viewer.rest()
    assert viewer.ended == (1000, "signal 9")
    assert viewer.told[-1] == {"type": "exit", "code": None, "signal": 9}


def test_who_comes_late_is_told_all_of_it(start: Start, attach: Attach) -> None:
    terminal = start("echo x; exit 7")
    terminal.until_exit()
    late = attach(terminal, "codesessions.v1", after=terminal.begin)
    assert late.rest() == b"x\r\n"
    assert late.told[-1] == {"type": "exit", "code": 7, "signal": None}
    assert late.ended == (1000, "exit 7")


def test_typing_after_the_end_is_refused(start: Start) -> None:
    terminal = start("exit 0")
    terminal.until_exit()
    assert terminal.rest.input("x")[0] == 409
