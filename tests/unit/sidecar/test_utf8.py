from __future__ import annotations

import codecs

import pytest
from codesessions_sidecar.utf8 import decode, incomplete_tail, is_text
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("data", "tail"),
    [
        (b"", 0),
        (b"a", 0),
        ("é".encode(), 0),
        ("é".encode()[:1], 1),
        ("€".encode()[:2], 2),
        ("😀".encode()[:3], 3),
        (b"a\x80", 0),  # a continuation without a beginning is wrong, not incomplete
        (b"\xc0", 0),  # begins nothing (RFC 3629, section 4)
        (b"\xf5", 0),
        (b"\xed\xa0", 0),  # a surrogate
        (b"\xe2\x82\xac\xe2", 1),
    ],
)
def test_the_tail_is_what_may_still_become_a_character(data: bytes, tail: int) -> None:
    assert incomplete_tail(data) == tail


@given(st.text(min_size=1), st.data())
def test_pieces_cut_anywhere_join_to_the_same_text(text: str, data: st.DataObject) -> None:
    raw = text.encode()
    pending, said, at = b"", "", 0
    while at < len(raw):
        step = data.draw(st.integers(1, 7))
        pending += raw[at : at + step]
        at += step
        cut = len(pending) - incomplete_tail(pending)
        said, pending = said + decode(pending[:cut]), pending[cut:]
    assert (said, pending) == (text, b"")


@given(st.binary())
def test_it_holds_back_no_more_than_the_standard_librarys_decoder(raw: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    shown = decoder.decode(raw)
    cut = len(raw) - incomplete_tail(raw)
    assert decode(raw[:cut]).startswith(shown)
    assert decode(raw[:cut]) + decode(raw[cut:]) == raw.decode("utf-8", "replace")


def test_text_is_utf8() -> None:
    assert is_text("naïve".encode())
    assert not is_text(b"\xff")
