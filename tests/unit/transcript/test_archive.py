"""The sidecar's writer and the reader agree: pages of the archive are the pages of the live terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from codesessions_sidecar import transcript
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.routes import page_document
from codesessions_sidecar.terminal import Terminal
from codesessions_transcript.archive import Archive
from codesessions_transcript.records import Gap, Output, Record, Size
from unit.transcript.printing import Printer


@pytest.fixture
async def terminal(tmp_path: Path) -> Any:
    (tmp_path / "run").mkdir()
    made = Terminal(tmp_path / "run", tmp_path / "data", 1 << 20, "cs_1")
    yield made
    made.close()


def archive_of(terminal: Terminal) -> Archive:
    return Archive(io.BytesIO(b"".join(transcript.write(terminal))))


def end(terminal: Terminal, ending: Exit) -> None:
    terminal._link.exit = ending


def pages(terminal: Terminal, archive: Archive, limit: int, *, raw: bool = False) -> int:
    """Compare all pages; returns how many."""
    after, count = 0, 0
    while True:
        live = page_document(terminal.page(after, limit), raw=raw)
        assert archive.output(after, limit, raw=raw) == live
        count += 1
        chunks: Any = live["chunks"]
        if not chunks:
            return count
        after = chunks[-1]["seq"]


async def test_pages_are_those_of_the_live_terminal(terminal: Terminal) -> None:
    printer = Printer(terminal.spool)
    for number in range(300):
        printer.print(f"line {number} \u2713\xff\r\n".encode("latin-1", "ignore") + b"\xe2\x9c\x93\xff")
    end(terminal, Exit(7, None))
    archive = archive_of(terminal)
    assert pages(terminal, archive, 1000) > 3
    assert pages(terminal, archive, 256 << 10, raw=True) == 2
    assert pages(terminal, archive, 1) == 301
    assert archive.output(10**6) == page_document(terminal.page(10**6, 1))
    assert archive.end.code == 7


async def test_pages_of_a_ring_that_has_wrapped(terminal: Terminal) -> None:
    printer = Printer(terminal.spool)
    for number in range(100):
        printer.print(b"%06d" % number * 5000)
    archive = archive_of(terminal)
    assert archive.oldest_seq > 1
    assert archive.output(0)["truncated"] is True
    assert pages(terminal, archive, 256 << 10) > 2


async def test_what_is_gone_is_in_the_preamble(terminal: Terminal) -> None:
    printer = Printer(terminal.spool)
    printer.print(b"\x1b[?2004h")
    for number in range(100):
        printer.print(b"%06d" % number * 5000)
        terminal.history.advance()
    archive = archive_of(terminal)
    assert archive.oldest_seq > 1
    assert archive.header.preamble == b"\x1b[?2004h"


async def test_an_empty_terminal(terminal: Terminal) -> None:
    assert pages(terminal, archive_of(terminal), 1 << 20) == 1


async def test_sizes_stand_where_they_changed(terminal: Terminal) -> None:
    printer, sizes = Printer(terminal.spool), terminal.spool.sizes
    sizes.note(0, 24, 80)
    printer.print(b"a")
    sizes.note(1, 24, 80)  # no change
    sizes.note(1, 30, 100)
    printer.print(b"b")
    sizes.note(2, 31, 101)
    archive = archive_of(terminal)
    kinds = [(type(record), getattr(record, "rows", None)) for record in archive.records()][1:-1]
    assert (archive.header.rows, archive.header.columns) == (24, 80)
    assert kinds == [(Output, None), (Size, 30), (Output, None), (Size, 31)]


async def test_what_is_overwritten_while_it_is_sent_is_a_gap(terminal: Terminal) -> None:
    printer = Printer(terminal.spool)
    for number in range(10):
        printer.print(b"%06d" % number * 10_000)
    parts = transcript.write(terminal)
    text = next(parts) + next(parts)
    for number in range(10):
        printer.print(b"%06d" % number * 10_000)
    text += b"".join(parts)
    archive = Archive(io.BytesIO(text))
    records: list[Record] = list(archive.records())
    gap = next(record for record in records if isinstance(record, Gap))
    first = archive.output(0)["chunks"][-1]["seq"]
    assert first + 1 < gap.oldest_seq
    following = archive.output(first)
    assert following["truncated"] is True
    assert following["chunks"][0]["seq"] == gap.oldest_seq
    assert archive.end.last_seq == 10


async def test_reading_pages_does_not_disturb_a_walk_through_all_records(terminal: Terminal) -> None:
    printer = Printer(terminal.spool)
    for number in range(10):
        printer.print(b"%06d" % number * 10_000)
    archive = archive_of(terminal)
    seen: list[Record] = []
    for record in archive.records():
        archive.output(3, 10)
        seen.append(record)
    assert seen == list(archive.records())
