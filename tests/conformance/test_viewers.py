"""Promise 5 and attaching: several viewers, resume, roles, sizes, flow control, Ctrl-C."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from support.conformance import Start
from support.viewer import DIALECTS, Viewer
from websockets.exceptions import InvalidStatus

Attach = Callable[..., Viewer]
CAT = "stty raw -echo; printf 'on<>'; exec cat"
SIZES = "stty -echo; echo on; while read x; do stty size; done"
FLOOD = "trap 'echo stopped; exec sleep 1000' INT; stty -echo; echo on; read x; while :; do echo 0123456789; done"


def test_viewers_of_all_dialects_see_the_same_at_once(start: Start, attach: Attach) -> None:
    terminal = start(CAT)
    viewers = [attach(terminal, dialect, after=terminal.begin) for dialect in DIALECTS]
    for viewer in viewers:
        viewer.until(b"on<>")
    for number, viewer in enumerate(viewers):
        viewer.type(f"<{number}>")
        viewer.until(f"<{number}>".encode())
    for viewer in viewers:
        assert viewer.until(b"<4>") == b"on<><0><1><2><3><4>"


def test_cut_at_random_and_resumed_nothing_is_missed_or_seen_twice(start: Start, attach: Attach) -> None:
    terminal = start("stty -echo; echo on; read x; seq -w 1 200000; printf '<end>'; exec sleep 1000")
    terminal.read_until("on\r\n")
    dice, text, after = random.Random(9), b"", terminal.seen
    terminal.type("\n")
    while not text.endswith(b"<end>"):
        viewer = attach(terminal, "codesessions.v1", after=after)
        for _ in range(dice.randrange(1, 100)):
            if viewer.shown.endswith(b"<end>"):
                break
            viewer.next()
        viewer.cut()
        assert viewer.seqs == list(range(after + 1, after + 1 + len(viewer.seqs)))
        after += len(viewer.seqs)
        text += viewer.shown
    assert text == "".join(f"{number:06}\r\n" for number in range(1, 200_001)).encode() + b"<end>"


def test_without_a_number_the_last_screens_are_shown(start: Start, attach: Attach) -> None:
    terminal = start("stty -echo -opost; seq 1 100000; printf '<end>'; exec sleep 1000")
    terminal.read_until("<end>")
    viewer = attach(terminal)
    shown = viewer.until(b"<end>")
    assert shown.endswith(b"99999\n100000\n<end>")
    assert 64 << 10 <= len(shown) <= 256 << 10


@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_only_looks_on_types_nothing_and_changes_no_size(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start('stty -echo; echo on; while read x; do echo "$x $(stty size)"; done')
    onlooker = attach(terminal, dialect, after=terminal.begin, size=(10, 20), role="viewer")
    onlooker.until(b"on\r\n")
    onlooker.type("onlooker\n")
    writer = attach(terminal, "codesessions.v1", after=terminal.begin, size=(30, 100))
    writer.until(b"on\r\n")
    while b"30 100\r\n" not in writer.shown:  # a size goes another way than typing does
        writer.type("writer\n")
        assert writer.next()
    shown = onlooker.until(b"30 100\r\n")
    assert b"10 20" not in shown
    assert b"onlooker" not in shown
    if dialect == "codesessions.v1":
        assert onlooker.until_told("error")["code"] == "read_only"


def test_the_size_is_the_smallest_of_the_writers(start: Start, attach: Attach) -> None:
    terminal = start(SIZES)
    first = attach(terminal, "codesessions.v1", after=terminal.begin, size=(40, 100))
    first.until(b"on")
    assert first.until_told("size") == {"type": "size", "rows": 40, "cols": 100}

    def size_becomes(rows: int, columns: int) -> None:
        wanted = {"type": "size", "rows": rows, "cols": columns}
        while wanted not in first.told[-4:]:
            assert first.next()
        shown = f"{rows} {columns}\r\n".encode()
        while not first.shown.endswith(shown):  # it goes another way than typing does
            first.type("\n")
            assert first.next()

    others = [dialect for dialect in DIALECTS if dialect not in {"raw", "codesessions.v1"}]
    for number, dialect in enumerate(others):
        other = attach(terminal, dialect, after=terminal.begin, size=(20 + number, 120))
        size_becomes(20 + number, 100)
        other.close()
        first.told.clear()
        size_becomes(40, 100)
        first.told.clear()
    terminal.rest.resize(50, 132)
    size_becomes(50, 132)


def test_the_company_is_told(start: Start, attach: Attach) -> None:
    terminal = start(CAT)
    first = attach(terminal, "codesessions.v1")
    assert first.until_told("hello")["viewers"] == 1
    second = attach(terminal, "raw", role="viewer")
    assert first.until_told("viewers") == {"type": "viewers", "viewers": 2, "writers": 1}
    first.told.clear()
    second.close()
    assert first.until_told("viewers") == {"type": "viewers", "viewers": 1, "writers": 1}


def test_with_a_window_no_more_is_sent_than_was_acknowledged(start: Start, attach: Attach) -> None:
    terminal = start("stty -echo; echo on; read x; seq -w 1 50000; printf '<end>'; exec sleep 1000")
    viewer = attach(terminal, "codesessions.v1", after=terminal.begin, window="65536")
    viewer.until(b"on\r\n")
    viewer.type("\n")
    dealt = holds = 0
    while not viewer.shown.endswith(b"<end>"):
        try:
            assert viewer.next(seconds=0.3)
        except TimeoutError:
            assert len(viewer.shown) - dealt <= 65536 + 65536, "the window, or one chunk"
            holds += len(viewer.shown) > dealt
            dealt = len(viewer.shown)
            viewer.ack(viewer.seqs[-1])
    assert viewer.shown.count(b"\r\n") == 50_001
    assert holds >= 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_ctrl_c_stops_a_flood_at_once(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start(FLOOD)
    viewer = attach(terminal, dialect, after=terminal.begin)
    viewer.until(b"on\r\n")
    viewer.type("\n")
    viewer.until(b"0123456789\r\n" * 20_000)
    before = len(viewer.shown)
    viewer.type("\x03")
    viewer.until(b"stopped")
    assert len(viewer.shown) - before < 1_500_000  # what this client's own buffers hold is in it


def test_a_viewer_that_does_not_read_holds_nobody_up(start: Start, attach: Attach) -> None:
    terminal = start("stty -echo; echo on; read x; head -c 30000000 /dev/zero | tr '\\0' x; printf '<end>'; sleep 1000")
    dead = attach(terminal, after=terminal.begin)
    viewer = attach(terminal, after=terminal.begin)
    viewer.until(b"on\r\n")
    viewer.type("\n")
    assert len(viewer.until(b"<end>")) == 30_000_000 + 4 + 5
    assert dead.next()


def test_a_query_that_is_not_known_is_refused_with_words(start: Start, attach: Attach) -> None:
    terminal = start(CAT)
    for query in ({"role": "king"}, {"window": "1"}, {"afterSeq": "-1"}, {"raw": "maybe"}):
        with pytest.raises(InvalidStatus) as refused:
            attach(terminal, **query)
        assert refused.value.response.status_code in {400, 422}
