"""The state of a terminal, followed and restored."""

from __future__ import annotations

import json

import pytest
from codesessions_sidecar.replay.modes import MAX_TAIL, Modes, Tracker, preamble, reporting
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults import scaled

PIECES = [
    *(b"\x1b[?%d%c" % (mode, final) for mode in (1, 6, 7, 25, 1000, 1002, 1006, 1049, 2004, 1004) for final in b"hl"),
    *(b"\x1b[" + body for body in (b"m", b"0;1m", b"31m", b"38;5;9m", b"48:2::1:2:3m", b"4:3m", b"22m", b"!p")),
    *(
        b"\x1b[" + body
        for body in (b"2;9r", b"r", b"4 q", b" q", b">1u", b"<u", b"=5;1u", b">4;2m", b"4h", b"4l", b"20h")
    ),
    *(b"\x1b=", b"\x1b>", b"\x1b(0", b"\x1b(B", b"\x1b)0", b"\x0e", b"\x0f", b"\x1b7", b"\x1b8", b"\x1bc"),
    *(b"\x1b]2;title\x07", b"\x1b]0;t\xc3\xa9\x1b\\", b"text", b"\x1bPq~\x1b\\", b"\r\n"),
]


def behind(*parts: bytes) -> Modes:
    tracker = Tracker()
    for part in parts:
        tracker.feed(part)
    return tracker.modes


@pytest.mark.parametrize(
    ("data", "restored"),
    [
        (b"plain", b""),
        (b"\x1b[?2004h", b"\x1b[?2004h"),
        (b"\x1b[?2004h\x1b[?2004l", b""),
        (b"\x1b[?1;2004h", b"\x1b[?1h\x1b[?2004h"),
        (b"\x1b[?25l\x1b[?7l", b"\x1b[?7l\x1b[?25l"),
        (b"\x1b[?1049h\x1b[?1h\x1b=", b"\x1b[?1049h\x1b[?1h\x1b="),
        (b"\x1b[?47h", b"\x1b[?47h"),
        (b"\x1b[?1049h\x1b[?1049l", b""),
        (b"\x1b[?1000h\x1b[?1002h\x1b[?1006h", b"\x1b[?1002h\x1b[?1006h"),
        (b"\x1b[?1000h\x1b[?1003h\x1b[?1003l", b""),
        (b"\x1b[1;31mred", b"\x1b[0;1;31m"),
        (b"\x1b[1;31mred\x1b[22m", b"\x1b[0;31m"),
        (b"\x1b[38;5;9;1mx", b"\x1b[0;38;5;9;1m"),
        (b"\x1b[48:2::1:2:3mx", b"\x1b[0;48:2::1:2:3m"),
        (b"\x1b[31mred\x1b[0m", b""),
        (b"\x1b[31mred\x1b[m", b""),
        (b"\x1b[31;0;4m", b"\x1b[0;4m"),
        (b"\x1b[31m\x1b7\x1b[32m\x1b8", b"\x1b[0;31m"),
        (b"\x1b[31m\x1b[?1049h\x1b[m\x1b[?1049l", b"\x1b[0;31m"),
        (b"\x1b[5;20r", b"\x1b[5;20r"),
        (b"\x1b[5;20r\x1b[r", b""),
        (b"\x1b[6 q", b"\x1b[6 q"),
        (b"\x1b(0qqq", b"\x1b(0"),
        (b"\x1b(0qqq\x1b(BABC", b""),
        (b"\x1b)0\x0e", b"\x1b)0\x0e"),
        (b"\x1b]0;one\x07\x1b]2;two\x1b\\", b"\x1b]2;two\x07"),
        (b"\x1b[>1u", b"\x1b[>1u"),
        (b"\x1b[>1u\x1b[>5u\x1b[<u", b"\x1b[>1u"),
        (b"\x1b[=3;1u", b"\x1b[=3u"),
        (b"\x1b[>1u\x1b[?1049h\x1b[>7u", b"\x1b[>1u\x1b[?1049h\x1b[>7u"),
        (b"\x1b[?1049h\x1b[>7u\x1b[?1049l", b""),
        (b"\x1b[>4;2m", b"\x1b[>4;2m"),
        (b"\x1b[4h\x1b[20h", b"\x1b[4h\x1b[20h"),
        (b"\x1b[?2004h\x1b[31m\x1b[?1049h\x1bc", b""),
        (b"\x1b[?25l\x1b[?2004h\x1b[2;3r\x1b[1m\x1b[!p", b"\x1b[?2004h"),
        (b"\x1b[?1004h", b""),
    ],
)
def test_what_is_set_is_restored(data: bytes, restored: bytes) -> None:
    assert preamble(behind(data)) == restored
    assert preamble(behind(*(data[index : index + 1] for index in range(len(data))))) == restored


@settings(max_examples=scaled(100, 1000), deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25), st.lists(st.integers(1, 7), max_size=60))
def test_the_state_does_not_depend_on_the_cuts(pieces: list[bytes], lengths: list[int]) -> None:
    data = whole = b"".join(pieces)
    parts = []
    for length in lengths:
        parts.append(data[:length])
        data = data[length:]
    assert behind(*parts, data) == behind(whole)


@settings(max_examples=scaled(100, 1000), deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sampled_from(PIECES))
def test_the_preamble_brings_a_terminal_into_the_state(pieces: list[bytes], before: bytes) -> None:
    wanted = behind(*pieces)
    for made in (behind(preamble(wanted)), behind(before, preamble(wanted, reset=True))):
        made.private.update(reporting(wanted))
        made.title = made.title if wanted.title else ""  # a title cannot be taken back
        assert preamble(made) == preamble(wanted)


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_the_state_survives_json(pieces: list[bytes]) -> None:
    modes = behind(*pieces)
    assert Modes.read(json.loads(json.dumps(modes.document()))) == modes


def test_the_beginning_of_a_sequence_is_kept_and_of_a_long_string_not_more_than_that() -> None:
    tracker = Tracker()
    tracker.feed(b"text\x1b[3")
    assert tracker.tail == b"\x1b[3"
    tracker.feed(b"1m\x1bPq" + b"~" * 100_000)
    tracker.feed(b"~" * 100_000 + b"\x1b")
    assert tracker.tail.startswith(b"\x1bPq~")
    assert len(tracker.tail) == MAX_TAIL
    tracker.feed(b"\\text")
    assert tracker.tail == b""
    assert tracker.modes.attributes == {"text": "31"}
