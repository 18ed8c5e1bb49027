from __future__ import annotations

import os
from pathlib import Path

import pytest
from codesessions_sidecar.ring import PAGE, RingFile
from hypothesis import given
from hypothesis import strategies as st

MAGIC = 7


def make(path: Path, size: int = 2 * PAGE) -> RingFile:
    RingFile.make(path, MAGIC, size, {3: 9})
    return RingFile(path, size)


def test_a_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    assert not RingFile.is_there(path, MAGIC, PAGE)
    make(path).close()
    assert RingFile.is_there(path, MAGIC, 2 * PAGE)
    assert not RingFile.is_there(path, MAGIC + 1, 2 * PAGE)
    assert not RingFile.is_there(path, MAGIC, PAGE)
    numbers = RingFile.peek(path)
    assert numbers is not None
    assert (numbers[0], numbers[3]) == (MAGIC, 9)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ring"]


def test_what_was_there_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    for text in ("first", "second"):
        path.write_text(text)
        make(path).close()
        assert (tmp_path / "ring.bad").read_text() == text


def test_a_short_file_has_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "ring").write_bytes(b"short")
    assert RingFile.peek(tmp_path / "ring") is None
    assert RingFile.peek(tmp_path / "nowhere") is None


@given(st.lists(st.binary(max_size=3 * PAGE), max_size=8))
def test_what_was_written_is_read_and_survives(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("ring") / "ring"
    ring, size, written = make(path), 2 * PAGE, b""
    for piece in pieces:
        for start in range(0, len(piece), size):
            part = piece[start : start + size]
            ring.write(len(written), part)
            written += part
            assert ring.read(len(written) - len(part), len(part)) == part
    ring.numbers[1] = len(written)
    ring.close()
    again = RingFile(path, size)
    kept = written[-size:]
    assert again.numbers[1] == len(written)
    assert again.read(len(written) - len(kept), len(kept)) == kept
    again.close()


def test_a_pipe_is_read_around_the_rings_end(tmp_path: Path) -> None:
    ring = make(tmp_path / "ring")
    output, start = os.pipe2(os.O_NONBLOCK)
    with open(output, "rb"), open(start, "wb", buffering=0) as there:  # noqa: PTH123 - descriptors
        with pytest.raises(BlockingIOError):
            ring.receive(output, 0, 100)
        there.write(b"abcdef")
        assert ring.receive(output, 2 * PAGE - 2, 3) == 3
        assert ring.read(2 * PAGE - 2, 4) == b"abc\0"
        assert ring.receive(output, 2 * PAGE + 1, 100) == 3
        assert ring.read(2 * PAGE - 2, 6) == b"abcdef"
    ring.close()


def test_cooling_changes_nothing(tmp_path: Path) -> None:
    size = 8 << 20
    ring = make(tmp_path / "ring", size)
    block = bytes(range(256)) * 4096
    for number in range(20):
        ring.write(number << 20, block)
        ring.cool((number + 1) << 20)
    assert all(ring.read(number << 20, 1 << 20) == block for number in range(12, 20))
    ring.close()


def test_what_was_just_stored_is_read_from_memory_also_around_the_end(tmp_path: Path) -> None:
    ring = make(tmp_path / "ring", 16)
    ring.write(12, b"abcdefgh")
    assert ring.recent(12, 8) == ring.read(12, 8) == b"abcdefgh"
    assert ring.recent(13, 2) == b"bc"
    ring.close()
