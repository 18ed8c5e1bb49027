"""What is made of transcripts: recordings and plain text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from codesessions_transcript.asciicast import Asciicast
from codesessions_transcript.plaintext import MAX_LINE, PlainText
from codesessions_transcript.records import End, Gap, Header, Output, Record, Size
from hypothesis import given
from hypothesis import strategies as st

SECOND = 1_000_000_000
HEADER = Header("cs_1", 99 * SECOND, 1, 2, 24, 80)


def cast(*records: Record) -> list[Any]:
    text = Asciicast().feed(records).decode()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def plain(*parts: bytes) -> str:
    maker = PlainText()
    found = b"".join(maker.feed([Output(number, 0, part)]) for number, part in enumerate(parts, 1))
    return (found + maker.feed([End(len(parts), 0, None)])).decode()


def test_a_recording_has_the_seconds_since_the_event_before() -> None:
    records = [Output(1, 10 * SECOND, b"a"), Size(12 * SECOND, 30, 100), Output(2, 12 * SECOND + SECOND // 2, b"b")]
    assert cast(HEADER, *records, End(2, 7, None)) == [
        {"version": 3, "term": {"cols": 80, "rows": 24, "type": "xterm-256color"}, "timestamp": 10, "title": "cs_1"},
        [0.0, "o", "a"],
        [2.0, "r", "100x30"],
        [0.5, "o", "b"],
        [0.0, "x", "7"],
    ]


def test_microseconds_do_not_add_up_to_a_drift() -> None:
    times = [number * 1_000_333 for number in range(1000)]
    events = cast(HEADER, *(Output(number, at, b".") for number, at in enumerate(times, 1)), End(1000, 0, None))
    assert sum(event[0] for event in events[1:]) == pytest.approx(times[-1] / SECOND, abs=2e-6)


def test_a_clock_that_is_set_back_stands_still() -> None:
    events = cast(HEADER, Output(1, 10 * SECOND, b"a"), Output(2, 5 * SECOND, b"b"), End(2, 0, None))
    assert [event[0] for event in events[1:]] == [0, 0, 0]


def test_a_signal_is_told_as_a_shell_tells_it_and_a_running_shell_not_at_all() -> None:
    assert cast(HEADER, End(0, None, 9))[-1] == [0.0, "x", "137"]
    assert cast(HEADER, Output(1, 0, b"a"), End(1, None, None))[-1][1] == "o"


def test_a_recording_whose_beginning_is_lost_begins_where_a_screen_can() -> None:
    header = Header("cs_1", 0, 5, 6, 24, 80, preamble=b"\x1b[?1049h\x1b[")
    records: list[Record] = [header, Output(5, 0, b"31"), Output(6, 0, b"mtext"), End(6, 0, None)]
    assert "".join(event[2] for event in cast(*records)[1:-1]) == "\x1b[?1049h\x1b[31mtext"
    assert PlainText().feed(records) == b"text"


def test_a_character_in_two_chunks_is_one() -> None:
    events = cast(HEADER, Output(1, 0, b"\xe2\x82"), Output(2, 0, b"\xac\xff"), Gap(9), End(9, 0, None))
    assert [event[2] for event in events[1:-1]] == ["\u20ac\ufffd"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\r\nlines\r\n", "plain\nlines\n"),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07and \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "red and link"),
        (b"\x1b(B\x1b=\x1b>\x1b7\x1b8\x1bMtext", "text"),
        (b"\x1bPq#0;2;0;0;0~~\x1b\\after", "after"),
        (b"\x1b_Gi=1;AAAA\x1b\\\x1b^pm\x1b\\\x1bktitle\x1b\\after", "after"),
        (b" 10%\r 50%\r100%\r\ndone", "100%\ndone"),
        (b"speling\b\b\b\bling\n", "speling\n"),
        (b"\b\ba\n", "a\n"),
        (b"\a\x00\x05bell\n", "bell\n"),
        (b"\x1b[?2004l\rout\r\n\x1b[?2004h$ ", "out\n$ "),
        ("caf\u00e9 \u2713\n".encode(), "caf\u00e9 \u2713\n"),
        (b"\xff\n", "\ufffd\n"),
        (b"cut \x1b[3", "cut "),
        (b"\x1b]0;cut by \x1b[mtext", "text"),
    ],
)
def test_plain_text(data: bytes, text: str) -> None:
    assert plain(data) == text
    assert plain(*(data[index : index + 1] for index in range(len(data)))) == text


@given(st.lists(st.sampled_from([b"a", b"\x1b", b"[", b"]", b"0;x", b"\a", b"\\", b"P", b"m", b"\r", b"\n", b"\b"])))
def test_plain_text_does_not_depend_on_the_chunks(parts: list[bytes]) -> None:
    assert plain(*parts) == plain(b"".join(parts))


def test_a_line_without_end_does_not_stay_in_memory() -> None:
    maker = PlainText()
    given_out = maker.feed([Output(number, 0, b"x" * 1000) for number in range(1, 1001)])
    assert len(given_out) >= 1_000_000 - MAX_LINE - 1000


def test_a_string_without_end_does_not_stay_in_memory() -> None:
    maker = PlainText()
    maker.feed([Output(1, 0, b"\x1bPq")])
    maker.feed([Output(number, 0, b"~" * 1000) for number in range(2, 1002)])
    assert len(maker._held) < 100
    assert maker.feed([Output(1002, 0, b"\x1b\\after\n")]) == b"after\n"
