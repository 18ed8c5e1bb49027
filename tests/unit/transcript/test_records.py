"""The transcript's format: what is written can be read in parts of any size, and what is not whole is refused."""

from __future__ import annotations

import json

import pytest
from codesessions_transcript.records import (
    MAX_LINE,
    End,
    Gap,
    Header,
    Output,
    Reader,
    Record,
    Size,
    TranscriptError,
    encode,
)
from hypothesis import given
from hypothesis import strategies as st

HEADER = Header("cs_1", 5_000_000_000, 1, 2, 24, 80, b"\x1b[?2004h")
WHOLE: list[Record] = [
    HEADER,
    Output(1, 6_000_000_000, b"one\nline\xff"),
    Size(6_500_000_000, 30, 100),
    Output(2, 7_000_000_000, b'{"type":"end"}\n'),
    End(2, 7, None),
]


def read(data: bytes) -> list[Record]:
    reader = Reader()
    found = reader.feed(data)
    reader.finish()
    return found


@given(st.data())
def test_it_is_read_in_parts_of_any_size(data: st.DataObject) -> None:
    chunks = data.draw(st.lists(st.binary(max_size=40), max_size=8))
    records: list[Record] = [Header("cs_1", 1, 1, len(chunks), 24, 80)]
    records += [Output(number, 10 * number, chunk) for number, chunk in enumerate(chunks, 1)]
    records.append(End(len(chunks), None, 9))
    text = b"".join(map(encode, records))
    reader, found, start = Reader(), [], 0
    while start < len(text):
        length = data.draw(st.integers(1, 60))
        found += reader.feed(text[start : start + length])
        start += length
    reader.finish()
    assert found == records


def test_a_chunk_knows_where_its_bytes_are() -> None:
    text = b"".join(map(encode, WHOLE))
    for record in read(text):
        if isinstance(record, Output):
            assert text[record.place : record.place + len(record.data)] == record.data


def test_a_gap_lets_numbers_be_left_out() -> None:
    records = [HEADER, Output(1, 1, b"a"), Gap(9), Output(9, 2, b"b"), End(9, None, None)]
    assert read(b"".join(map(encode, records))) == records


def test_what_later_versions_add_is_passed_over() -> None:
    text = b"".join(map(encode, WHOLE[:-1])) + b'{"type":"mood"}\n' + encode(WHOLE[-1])
    assert read(text) == WHOLE


@pytest.mark.parametrize("kept", range(len(WHOLE)))
def test_without_its_end_it_is_not_whole(kept: int) -> None:
    with pytest.raises(TranscriptError, match="not whole"):
        read(b"".join(map(encode, WHOLE[:kept])))


def changed(**changes: object) -> bytes:
    return json.dumps({**json.loads(encode(HEADER)), **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    "text",
    [
        b"not JSON\n",
        b"[]\n",
        b"{}\n",
        changed(version=2),
        changed(format="other"),
        changed(oldestSeq=-1),
        changed(oldestSeq="1"),
        changed(preamble="*"),
        changed(sessionId=None),
        b" " * MAX_LINE,
        encode(HEADER) + encode(Output(2, 1, b"the first one is missing")),
        encode(HEADER) + b'{"type":"output","seq":1,"time":1,"bytes":3}\nlonger\n',
        encode(HEADER) + b'{"type":"output","seq":1,"time":1,"bytes":99999999}\n',
        encode(HEADER) + b'{"type":"output","seq":1}\n',
        encode(HEADER) + encode(Output(1, 1, b"a")) + encode(Gap(1)),
        encode(HEADER) + encode(Output(1, 1, b"a")) + encode(End(2, None, None)),
        b"".join(map(encode, WHOLE)) + b"{}\n",
    ],
)
def test_what_is_no_transcript_is_refused(text: bytes) -> None:
    with pytest.raises(TranscriptError):
        Reader().feed(text)
