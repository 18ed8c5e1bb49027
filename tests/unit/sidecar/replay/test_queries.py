"""What a terminal would answer goes, everything else stays, however the output is cut."""

from __future__ import annotations

import pytest
from codesessions_sidecar.replay.queries import MAX_HELD, QueryFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults import scaled

CSI = b"\x1b["
QUERIES = [
    *(CSI + body for body in (b"c", b"0c", b">c", b">0c", b"=c", b"5n", b"6n", b"?6n", b"?996n", b"x", b"1x")),
    *(CSI + body for body in (b"4$p", b"?2004$p", b">q", b">0q", b"?u", b"?1;1;0S", b"1;1;1*y", b"1$w", b"'|")),
    *(CSI + body for body in (b"11t", b"18t", b"21t", b"8;24;80t", b"2t", b"?4m", b"&u", b"1$u", b"i", b"5i")),
    *(CSI + body for body in (b"#R", b"?1g", b"1,u")),
    *(b"\x1b]" + body + b"\x07" for body in (b"4;1;?", b"10;?", b"11;?", b"12;?", b"010;?", b"4;0;1;1;?", b"21;f=?")),
    *(b"\x1b]" + body + b"\x1b\\" for body in (b"52;c;aGk=", b"52;c;?", b"60", b"777;notify;a", b"9;hello", b"99;;x")),
    *(b"\x1b]" + body + b"\x07" for body in (b"39;?", b"176;?", b"702;?", b"710;?", b"7770;?")),
    *(b"\x1b]1337;" + body + b"\x07" for body in (b"ReportCellSize", b"Copy=:aGk=", b"File=name=eA==:aGk=")),
    b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\",
    b"\x1bP@kitty-cmd{}\x1b\\",
    b"\x1bP1000p%begin\x1b\\",
    b"\x1bP2000p\x1b\\",
    b"\x1b]1\xbc1;?\x07",
    b"\x1bP$\xe0q\x1b\\",
    b"\x1b_\xffGa=q,i=1;AAAA\x1b\\",
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\",
    b"\x1bZ",
    b"\x05",
    b"\xc2\x9b6n",
    b"\xc2\x9d11;?\xc2\x9c",
    b"\xc2\x90$qm\xc2\x9c",
    b"\xc2\x9a",
]
KEPT = [
    *(
        CSI + body
        for body in (b"31m", b"0;38:2::1:2:3m", b"2J", b"1;24r", b"?25l", b"?2004h", b"?1049h", b"2 q", b"!p")
    ),
    *(CSI + body for body in (b"22;0t", b"23;0t", b">1u", b"<u", b"u", b"s", b"5;1*x", b">4;2m", b"?0c", b"?1004l")),
    *(b"\x1b]" + body + b"\x07" for body in (b"0;wh?;?", b"8;;http://x/?a", b"7;file:///", b"133;A", b"10;#ffffff")),
    *(b"\x1b]" + body + b"\x1b\\" for body in (b"9;4;1;50", b"4;1;rgb:0/0/0", b"104", b"2;\xe2\x9c\x93", b"lother")),
    b"\x1b]1337;File=inline=1:aGk=\x07",
    b"\x1bPq#0;2;0;0;0~~\x1b\\",
    b"\x1bPtmux;hello\x1b\\",
    b"\x1b_Gi=1,q=2;AAAA\x1b\\",
    b"\x1b_Ga=T,f=100;AAAA\x1b\\",
    b"\x1b^privacy\x1b\\",
    b"\x1b(0",
    b"\x1b=",
    b"\x1b7",
    b"\x1bc",
    b"\x1b#8",
    b"\x07\x08\t\r\n",
    "é · ° 日本 😀".encode(),
    b"\xff\xfe\x80",
    b"plain text, 6n ?c [6n ]10;?",
]
TEXT = [b"a", b" ", b"\r\n", b"\xe2\x82\xac"]
PIECES = [
    *(b"\x1b", b"[", b"]", b"P", b"_", b"^", b"\\", b"\x07", b"\x18", b"\x1a", b"\x05", b"\x7f", b"\r", b";", b"?"),
    *(
        b"\xc2",
        b"\x9b",
        b"\x9c",
        b"\x9d",
        b"\x90",
        b"6n",
        b"c",
        b"m",
        b"31m",
        b"10;?",
        b"52;c;Q",
        b"0;t",
        b"9;x",
        b"$q",
    ),
    *(b"Ga=q,i=1;", b"Gi=1;AA", b"1337;", b"File=inline=1:", b"1004h", b"?2004;1004h", b"**", b"\x18B00", b"Z", b"$q"),
    *(b"\xbc", b"\xe2", b"\xff", b"\xf0\x9f", b"\xef\xbb\xbf", b"#R", b"?g", b"\xc2\x1b"),
]


def shown(*parts: bytes) -> bytes:
    made = QueryFilter()
    return b"".join(map(made.feed, parts)) + made.finish()


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    parts = []
    for length in lengths:
        parts.append(data[:length])
        data = data[length:]
    return [*parts, data]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_goes(query: bytes) -> None:
    assert shown(b"before" + query + b"after") == b"beforeafter"
    assert shown(*(bytes([byte]) for byte in b"before" + query + b"after")) == b"beforeafter"


@pytest.mark.parametrize("sequence", KEPT)
def test_everything_else_stays(sequence: bytes) -> None:
    assert shown(b"before" + sequence + b"after") == b"before" + sequence + b"after"


def test_controls_within_a_query_take_effect_without_it() -> None:
    assert shown(b"a\x1b[\r\n6nb") == b"a\r\nb"
    assert shown(b"a\x1b\n[6nb") == b"a\nb"


def test_a_picture_is_shown_and_not_acknowledged() -> None:
    assert shown(b"\x1b_Gi=1,a=T;AAAA\x1b\\") == b"\x1b_Gi=1,a=T,q=2;AAAA\x1b\\"


def test_modes_that_report_when_set_come_at_the_end_if_they_are_on_then() -> None:
    assert shown(b"\x1b[?1004hon") == b"on\x1b[?1004h"
    assert shown(b"\x1b[?2004;1004hon\x1b[?1004loff") == b"\x1b[?2004hon\x1b[?1004loff"
    assert shown(b"\x1b[?2048h\x1bcreset") == b"\x1bcreset"


@pytest.mark.parametrize("before", [b"\x1b", b"\x1b[", b"\x1b[3", b"\x1b]0;title", b"\x1bPq~~", b"\xc2", b"\x1b#"])
@pytest.mark.parametrize("after", [b"[6n", b"6n", b"\x9b6n", b"c"])
def test_what_is_taken_out_joins_nothing_to_a_new_query(before: bytes, after: bytes) -> None:
    once = shown(before + b"\x1b[5n" + after)
    assert once == before + b"\x1b\\" + after
    assert shown(once) == once


@pytest.mark.parametrize("bad", [b"\xbc", b"\xe0", b"\xf0\x80\x82\x9b", b"\x9b", b"\xc2\xff", b"\xef\xbb\xbf", b"\xc3"])
@pytest.mark.parametrize(
    ("begun", "rest"), [(b"\x1b", b"[6n"), (b"\x1b[", b"6n"), (b"\x1b[6", b"n"), (b"\xc2\x9b6", b"n")]
)
def test_a_sequence_that_is_broken_stays_so_also_for_who_passes_over_what_is_no_text(
    begun: bytes, bad: bytes, rest: bytes
) -> None:
    """xterm.js takes bytes that are no UTF-8, and byte order marks, for nothing at all."""
    assert shown(begun + bad + rest) == begun + b"\x1b\\" + bad + rest
    assert shown(*(bytes([byte]) for byte in begun + bad + rest)) == begun + b"\x1b\\" + bad + rest


def test_a_query_whose_end_is_cut_behind_half_a_character_goes() -> None:
    made = QueryFilter()
    assert made.feed(b"a\x1b]11;?\xc2\x1b") + made.feed(b"\\b") == b"ab"


def test_a_query_behind_a_picture_that_is_broken_off_leaves_its_end() -> None:
    assert shown(b"\x1b_Gi=1;AA\x1b[6nB") == b"\x1b_Gi=1,q=2;AA\x1b\\B"


def test_half_a_character_does_not_end_a_string() -> None:
    made = QueryFilter()
    parts = [b"\x1b_q", b"\xc2", b"\xc2", b"A", b"\x1b[6n", b"B"]
    assert b"".join(map(made.feed, parts)) == b"\x1b_q\xc2\xc2A\x1b\\B"


def test_a_control_sequence_without_end_goes_to_its_end() -> None:
    made, part = QueryFilter(), b"0;" * 20_000
    assert made.feed(b"a\x1b[" + part) + made.feed(part) + made.feed(part + b"6n") + made.feed(b"b") == b"ab"
    assert not made.dropping


def test_zmodem_does_not_begin() -> None:
    assert shown(b"rz\r**\x18B00000000000000\r\x8a") == b"rz\r**B00000000000000\r\x8a"


def test_a_long_string_is_not_held_back() -> None:
    made = QueryFilter()
    assert made.feed(b"\x1bPq" + b"~" * 100_000) == b"\x1bPq" + b"~" * 100_000
    assert made.feed(b"~" * 100_000) == b"~" * 100_000


def test_a_long_clipboard_is_taken_out_and_never_in_memory() -> None:
    made = QueryFilter()
    assert made.feed(b"\x1b]52;c;") == b""
    for _ in range(20):
        assert made.feed(b"A" * 100_000) == b""
        assert len(made._held) < MAX_HELD
    assert made.feed(b"\x07after") == b"after"


def test_a_string_that_reaches_into_live_output_goes_to_its_end_there() -> None:
    made = QueryFilter()
    assert made.feed(b"a\x1b]52;c;aG") == b"a"
    assert made.finish() == b""
    assert made.dropping
    assert made.live(b"k=\x1b") == b""
    assert made.live(b"\\live\x1b[6n") == b"live\x1b[6n"
    assert not made.dropping


def test_what_is_half_there_at_the_end_is_live() -> None:
    made = QueryFilter()
    assert made.feed(b"a\x1b[6") == b"a"
    assert made.finish() == b"\x1b[6"


@settings(max_examples=scaled(300, 3000), deadline=None)
@given(st.lists(st.sampled_from([*KEPT, *TEXT]), max_size=12), st.lists(st.integers(1, 9), max_size=40))
def test_output_without_queries_passes_byte_for_byte(pieces: list[bytes], lengths: list[int]) -> None:
    data = b"".join(pieces)
    assert shown(*cut(data, lengths)) == data


@settings(max_examples=scaled(1000, 10_000), deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.lists(st.integers(1, 5), max_size=40))
def test_any_cut_gives_the_same_and_a_second_pass_finds_nothing(pieces: list[bytes], lengths: list[int]) -> None:
    once = shown(b"".join(pieces))
    assert shown(*cut(b"".join(pieces), lengths)) == once
    assert shown(once) == once


@settings(max_examples=scaled(300, 2000), deadline=None)
@given(st.binary(max_size=60), st.lists(st.integers(1, 9), max_size=20))
def test_bytes_of_any_kind_are_taken(data: bytes, lengths: list[int]) -> None:
    assert shown(*cut(data, lengths)) == shown(data)
