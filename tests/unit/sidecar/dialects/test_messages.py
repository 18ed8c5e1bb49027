"""What a viewer is sent, dialect by dialect."""

from __future__ import annotations

import json

import pytest
from codesessions_sidecar.dialects import ALL, BY_NAME
from codesessions_sidecar.dialects.base import Message, Opening
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.spool import Chunk
from hypothesis import given
from hypothesis import strategies as st

CHUNKS = [Chunk(4, "é".encode(), 0), Chunk(5, b"\xff", 0)]
OPENING = Opening("cs_a", 5, 1, 3, False, 24, 80, True, 2, 1, None, 9)


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("raw", [Message(False, b"\xc3\xa9\xff")]),
        ("ttyd", [Message(False, b"0\xc3\xa9\xff")]),
        ("channel", [Message(False, b"\1\xc3\xa9\xff")]),
        ("terminado", [Message(True, '["stdout","é\ufffd"]'.encode())]),
        (
            "codesessions.v1",
            [
                Message(True, '{"type":"output","seq":4,"text":"é"}'.encode()),
                Message(True, '{"type":"output","seq":5,"text":"\ufffd"}'.encode()),
            ],
        ),
    ],
)
def test_output(name: str, messages: list[Message]) -> None:
    assert BY_NAME[name]().output(CHUNKS) == messages


def test_exact_output_of_our_own() -> None:
    dialect = BY_NAME["codesessions.v1"](raw=True)
    assert dialect.output(CHUNKS) == [Message(False, b"\0\0\0\0\0\0\0\5\xc3\xa9\xff")]


def test_openings() -> None:
    said = {dialect.name: dialect().opening(OPENING) for dialect in ALL}
    hello = json.loads(said.pop("codesessions.v1")[0].data)
    assert said == {
        "raw": [],
        "ttyd": [Message(False, b"1cs_a"), Message(False, b"2{}")],
        "channel": [Message(False, b"\1")],
        "terminado": [Message(True, b'["setup",{}]')],
    }
    assert hello["type"] == "hello"
    assert (hello["afterSeq"], hello["lastSeq"], hello["role"], hello["inputSeq"]) == (3, 5, "writer", 9)


@pytest.mark.parametrize(
    ("ending", "causes"),
    [(Exit(0, None), None), (Exit(7, None), "7"), (Exit(None, 9), "137")],
)
def test_the_status_of_an_exec(ending: Exit, causes: str | None) -> None:
    (message,) = BY_NAME["channel"]().ended(ending)
    assert message.data[:1] == b"\3"
    status = json.loads(message.data[1:])
    assert status["status"] == ("Success" if causes is None else "Failure")
    if causes is not None:
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": causes}]


def test_other_ends() -> None:
    said = {dialect.name: dialect().ended(Exit(7, None)) for dialect in ALL}
    assert said["raw"] == said["ttyd"] == []
    assert said["terminado"] == [Message(True, b'["disconnect",1]')]
    assert json.loads(said["codesessions.v1"][0].data) == {"type": "exit", "code": 7, "signal": None}


def test_what_others_have_no_word_for() -> None:
    for dialect in ALL:
        spoken = dialect()
        said = [
            *spoken.truncated(9),
            *spoken.typed(5, 3),
            *spoken.refused("read_only"),
            *spoken.refused("shell_ended", 5),
            *spoken.company(3, 2),
            *spoken.size(24, 80),
            *spoken.pong(),
        ]
        if dialect.name != "codesessions.v1":
            assert said == []
        else:
            assert [json.loads(message.data) for message in said] == [
                {"type": "truncated", "oldestSeq": 9},
                {"type": "typed", "inputSeq": 5, "bytes": 3},
                {"type": "error", "code": "read_only"},
                {"type": "error", "code": "shell_ended", "inputSeq": 5},
                {"type": "viewers", "viewers": 3, "writers": 2},
                {"type": "size", "rows": 24, "cols": 80},
                {"type": "pong"},
            ]


def test_what_is_no_part_of_the_log_has_no_number() -> None:
    assert BY_NAME["raw"]().screen(b"\x1b[m") == [Message(False, b"\x1b[m")]
    assert json.loads(BY_NAME["codesessions.v1"](raw=True).screen(b"\x1b[m")[0].data) == {
        "type": "screen",
        "text": "\x1b[m",
    }


@given(pieces=st.lists(st.binary(min_size=1, max_size=16), min_size=1, max_size=8))
def test_binary_dialects_change_no_byte(pieces: list[bytes]) -> None:
    chunks = [Chunk(seq, data, 0) for seq, data in enumerate(pieces, 1)]
    whole = b"".join(pieces)
    for name, head in (("raw", 0), ("ttyd", 1), ("channel", 1)):
        assert b"".join(message.data[head:] for message in BY_NAME[name]().output(chunks)) == whole
    exact = BY_NAME["codesessions.v1"](raw=True).output(chunks)
    assert b"".join(message.data[8:] for message in exact) == whole
