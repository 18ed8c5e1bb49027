"""Promises 1 to 3: every byte, once, in order, numbered; what is gone is said; text is text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from support.conformance import Start
from support.viewer import DIALECTS, EXACT, Viewer

Attach = Callable[..., Viewer]
BYTES = bytes(range(256)) + "é€😀".encode() + b"\xf0\x9f \xe2\x82"
TALK = "stty -echo -opost; for n in $(seq 1 200); do echo line $n; done; echo en''d; exec cat"


def printer(data: bytes) -> str:
    """A script that prints these bytes as they are."""
    octal = "".join(f"\\{byte:03o}" for byte in data)
    return f"stty -echo -opost; printf '{octal}'; printf '<end>'; exec sleep 1000"


def test_one_numbering_without_gap_for_rest_and_every_dialect_that_tells_it(start: Start, attach: Attach) -> None:
    terminal = start(TALK)
    terminal.read_until("end\n")
    terminal.type("one\n")
    terminal.read_until("one\n")
    terminal.type("two\n")
    terminal.read_until("two\n")
    chunks = terminal.all_chunks()
    first = terminal.begin + 1
    assert [chunk["seq"] for chunk in chunks] == list(range(first, first + len(chunks)))
    viewer = attach(terminal, "codesessions.v1", after=terminal.begin)
    viewer.until(b"two\n")
    assert viewer.seqs == [chunk["seq"] for chunk in chunks]
    middle = chunks[len(chunks) // 2]["seq"]
    expected = "".join(chunk["text"] for chunk in chunks if chunk["seq"] > middle).encode()
    for dialect in (*DIALECTS, "codesessions.v1+binary"):
        late = attach(terminal, dialect, after=middle)
        assert late.until(b"two\n") == expected, dialect
        assert late.seqs == [] or late.seqs[-1] == chunks[-1]["seq"]


@pytest.mark.parametrize("dialect", EXACT)
def test_exact_bytes_where_the_dialect_is_binary(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start("read x; " + printer(BYTES))
    live = attach(terminal, dialect, after=terminal.begin)
    live.type("\n")
    assert live.until(b"<end>") == b"\r\n" + BYTES + b"<end>"
    late = attach(terminal, dialect, after=terminal.begin, replay="raw")
    assert late.until(b"<end>") == b"\r\n" + BYTES + b"<end>"


@pytest.mark.parametrize("dialect", EXACT)
def test_what_is_shown_again_asks_a_terminal_no_questions(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start(printer(b"a\x1b[c\x1b[6n\x05\x1b]11;?\x07\x1b[31mb"))
    terminal.read_until("<end>")
    assert attach(terminal, dialect, after=terminal.begin).until(b"<end>") == b"a\x1b[31mb<end>"


def test_exact_bytes_by_rest(start: Start) -> None:
    terminal = start(printer(BYTES))
    terminal.read_until("<end>")
    page = terminal.rest.output(terminal.begin, raw=True)
    assert b"".join(base64.b64decode(chunk["data"]) for chunk in page["chunks"]) == BYTES + b"<end>"


@pytest.mark.parametrize("dialect", ["terminado", "codesessions.v1"])
def test_what_is_no_text_is_replaced_in_text(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start(printer(b"a\xffb\xe2\x82c\xf0\x9f\x98\x80"))
    assert terminal.read_until("<end>") == "a\ufffdb\ufffdc😀<end>"
    assert attach(terminal, dialect, after=terminal.begin).until(b"<end>").decode() == "a\ufffdb\ufffdc😀<end>"


def test_no_chunk_cuts_a_character(start: Start, attach: Attach) -> None:
    terminal = start("stty -echo -opost; yes 'é€😀ab' | head -c 3000000; printf '<end>'; exec sleep 1000")
    viewer = attach(terminal, "codesessions.v1", after=terminal.begin)
    assert viewer.until(b"<end>").decode() == "é€😀ab\n" * 250_000 + "<end>"
    assert len(viewer.seqs) > 20


def test_a_character_in_two_halves_is_put_together(start: Start) -> None:
    terminal = start("stty -echo -opost; printf '\\360\\237'; sleep 0.01; printf '\\230\\200<end>'; exec sleep 1000")
    assert terminal.read_until("<end>") == "😀<end>"


def test_what_fell_out_of_the_ring_is_said_everywhere(start: Start, attach: Attach) -> None:
    terminal = start(
        "stty -echo -opost; read x; head -c $x /dev/zero | tr '\\0' x; printf '<end>'; sleep 1000", small=True
    )
    terminal.type(f"{terminal.ring + (terminal.ring >> 1)}\n")
    page = terminal.rest.output(terminal.begin)
    while not page["chunks"] or "<end>" not in page["chunks"][-1]["text"]:
        page = terminal.rest.output(max(terminal.begin, page["lastSeq"] - 1), wait=1)
    page = terminal.rest.output(terminal.begin)
    assert page["truncated"] is True
    assert page["chunks"][0]["seq"] == page["oldestSeq"] > terminal.begin + 1
    viewer = attach(terminal, "codesessions.v1", after=terminal.begin)
    hello = viewer.until_told("hello")
    assert (hello["truncated"], hello["oldestSeq"]) == (True, page["oldestSeq"])
    viewer.until(b"<end>")
    assert viewer.seqs == list(range(page["oldestSeq"], page["lastSeq"] + 1))
    kept = terminal.rest.output(page["oldestSeq"] - 1)
    assert kept["truncated"] is False


def test_a_long_poll_answers_with_the_output(start: Start) -> None:
    terminal = start("stty -echo; echo on; exec cat")
    terminal.read_until("on\r\n")
    terminal.type("x\n")
    page = terminal.rest.output(terminal.seen, wait=30)
    assert "".join(chunk["text"] for chunk in page["chunks"]).startswith("x")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_megabytes_arrive_as_they_were_printed(start: Start, attach: Attach, dialect: str) -> None:
    script = "stty -echo; echo on; read x; seq -w 1 400000; printf '<end>'; exec sleep 1000"
    terminal = start(script)
    viewer = attach(terminal, dialect, after=terminal.begin)
    viewer.until(b"on\r\n")
    viewer.type("\n")
    shown = viewer.until(b"<end>", seconds=120).partition(b"on\r\n")[2]
    expected = "".join(f"{number:06}\r\n" for number in range(1, 400_001)).encode() + b"<end>"
    assert hashlib.sha256(shown).hexdigest() == hashlib.sha256(expected).hexdigest()
