"""The transcript against a model, with a crash after any store, and with files that are torn."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from codesessions_sidecar import spool as module
from codesessions_sidecar.pty import Pty
from codesessions_sidecar.ring import PAGE, RingFile
from codesessions_sidecar.spool import MAX_READ, Spool
from hypothesis import given, settings
from hypothesis import strategies as st
from support.line import DEADLINE, Line

SIZE = 1 << 20


class Crash(BaseException):
    """The process dies here."""


class Fuse:
    """Lets a number of stores happen, then dies."""

    def __init__(self) -> None:
        self.left: int | None = None

    def burn(self) -> None:
        if self.left == 0:
            raise Crash
        if self.left is not None:
            self.left -= 1


class Numbers:
    """A file's numbers, whose every store burns the fuse."""

    def __init__(self, real: memoryview, fuse: Fuse) -> None:
        self._real, self._fuse = real, fuse

    def __getitem__(self, place: int) -> int:
        value: int = self._real[place]
        return value

    def __setitem__(self, place: int, value: int) -> None:
        self._fuse.burn()
        self._real[place] = value

    def release(self) -> None:
        self._real.release()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def everything(spool: Spool) -> bytes:
    """All that is kept, after checking the numbers."""
    data, after = b"", spool.oldest_seq - 1
    while chunks := spool.read(after, 10_000):
        assert [chunk.seq for chunk in chunks] == list(range(after + 1, after + 1 + len(chunks)))
        data += b"".join(chunk.data for chunk in chunks)
        after = chunks[-1].seq
    assert after == spool.last_seq
    return data


def take(spool: Spool, pty: Pty, size: int) -> None:
    """Take so much of what was printed, and no more."""
    end, deadline = spool.head + size, time.monotonic() + DEADLINE
    while spool.head < end:
        assert time.monotonic() < deadline, f"{end - spool.head} bytes never came"
        with contextlib.suppress(BlockingIOError):
            spool.receive(pty)
    assert spool.head == end


def put(spool: Spool, line: Line, data: bytes, *, whole: bool = True) -> None:
    while data:
        count = line.print(data)
        take(spool, line.pty, count)
        data = data[count:]
    spool.cut(whole=whole)


def test_output_is_numbered_from_one(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    assert (spool.last_seq, spool.oldest_seq, spool.read(0, 100)) == (0, 1, [])
    spool.adopt(line.epoch, line.pty)
    put(spool, line, b"one")
    put(spool, line, b"two")
    assert [(chunk.seq, chunk.data) for chunk in spool.read(0, 100)] == [(1, b"one"), (2, b"two")]
    assert [chunk.seq for chunk in spool.read(1, 100)] == [2]
    assert [chunk.seq for chunk in spool.read(0, 1)] == [1], "the first chunk, however long it is"
    assert spool.read(7, 100) == []
    spool.close()


def test_a_character_is_never_cut(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    put(spool, line, "a€".encode()[:-1], whole=False)
    assert everything(spool) == b"a"
    put(spool, line, "€".encode()[-1:], whole=False)
    assert everything(spool) == "a€".encode()
    text = ("€" * MAX_READ).encode()
    put(spool, line, text, whole=False)
    for chunk in spool.read(2, SIZE):
        chunk.data.decode()
        assert len(chunk.data) <= MAX_READ
    spool.close()


def test_what_fell_out_is_said(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    written = random.Random(1).randbytes(3 * SIZE)
    put(spool, line, written)
    assert spool.oldest_seq > 1
    kept = everything(spool)
    assert written.endswith(kept)
    assert SIZE - 3 * MAX_READ < len(kept) <= SIZE - MAX_READ
    last, oldest = spool.last_seq, spool.oldest_seq
    spool.close()
    again = Spool(tmp_path, SIZE)
    assert (again.last_seq, again.oldest_seq, everything(again)) == (last, oldest, kept)
    again.close()


def test_positions_are_of_what_is_kept(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    assert (spool.position(0), spool.position(9), spool.newest_within(9), spool.distance(0, 9)) == (0, 0, 0, 0)
    for data in (b"abc", b"de", b"f"):
        put(spool, line, data)
    assert [spool.position(seq) for seq in range(5)] == [0, 3, 5, 6, 6]
    assert [spool.newest_within(position) for position in (0, 2, 3, 4, 5, 6, 99)] == [0, 0, 1, 1, 2, 3, 3]
    assert (spool.distance(1, 3), spool.distance(3, 1), spool.distance(0, 99)) == (3, 0, 6)
    put(spool, line, bytes(2 * SIZE))
    before = spool.oldest_seq - 1
    assert spool.position(1) == spool.position(before) > 6
    assert spool.newest_within(6) == before
    spool.close()


def test_many_small_chunks_are_bounded_by_their_records(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    for number in range(10_000):
        put(spool, line, b"%d." % (number % 10))
    assert spool.last_seq == 10_000
    assert spool.oldest_seq > 1
    kept = everything(spool)
    assert len(kept) == 2 * (spool.last_seq - spool.oldest_seq + 1)
    line.print(b"last")
    take(spool, line.pty, 4)
    place = 10_001 % spool._records * module._RECORD.size
    spool._chunks.pack(module._RECORD, place, spool.head, 0)  # and dies before it counts
    spool.close()
    again = Spool(tmp_path, SIZE)
    assert again.last_seq == 10_001
    assert everything(again).endswith(kept[10:] + b"last")
    again.close()


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["print", "receive", "receive", "cut", "whole", "adopt", "launcher"]),
        st.binary(max_size=200),
        st.one_of(st.none(), st.none(), st.integers(0, 4)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(ACTIONS)
def test_a_crash_after_any_store_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, bytes, int | None]]
) -> None:
    folder, fuse, lines = tmp_path_factory.mktemp("spool"), Fuse(), [Line()]
    wanted, numbers = b"", 0

    def opened() -> Spool:
        made = Spool(folder, 16 * MAX_READ)
        for ring in (made._output, made._chunks):
            ring.numbers = Numbers(ring.numbers, fuse)  # type: ignore[assignment]
        return made

    def do(name: str) -> None:
        if name == "receive":
            with contextlib.suppress(BlockingIOError):
                spool.receive(lines[-1].pty)
        elif name == "adopt":
            spool.adopt(lines[-1].epoch, lines[-1].pty)
        else:
            spool.cut(whole=name == "whole")

    spool = opened()
    spool.adopt(1, lines[-1].pty)
    for name, data, stores in actions:
        if name == "print":
            count = lines[-1].print(data)
            wanted += data[:count]
            continue
        if name == "launcher":  # another pod: what the first one's terminal still holds goes with it
            take(spool, lines[-1].pty, len(wanted) - spool.head)
            lines.append(Line(len(lines) + 1))
            spool.adopt(lines[-1].epoch, lines[-1].pty)
            continue
        fuse.left = stores
        try:
            do(name)
        except Crash:
            fuse.left = None
            spool.close()
            spool = opened()
            spool.adopt(lines[-1].epoch, lines[-1].pty)
        fuse.left = None
        assert spool.last_seq >= numbers, "the numbering went back"
        numbers = spool.last_seq
    take(spool, lines[-1].pty, len(wanted) - spool.head)
    spool.cut(whole=True)
    assert everything(spool) == wanted
    spool.close()
    for each in lines:
        each.close()


def test_a_pipe_that_does_not_fit_is_told_and_its_bytes_are_taken(
    tmp_path: Path, line: Line, logged: list[str]
) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    put(spool, line, b"abc")
    spool._output.numbers[module._DUE] = spool.head + 2  # it died with two bytes in the pipe
    os.write(line.pipes[1], b"12345")  # and somebody has put others there
    spool.adopt(line.epoch, line.pty)
    assert logged == ["transcript-gap"]
    take(spool, line.pty, 5)
    put(spool, line, b"def")
    assert everything(spool) == b"abc12345def"
    spool.close()


def test_a_pipe_that_somebody_emptied_does_not_stop_it(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    os.write(line.pipes[1], b"gone")
    spool.adopt(line.epoch, line.pty)
    os.read(line.pipes[0], 100)
    with pytest.raises(BlockingIOError):
        spool.receive(line.pty)
    put(spool, line, b"here")
    assert everything(spool) == b"here"
    spool.close()


def test_another_launcher_goes_on_behind_what_the_first_left_unfinished(tmp_path: Path, line: Line) -> None:
    spool = Spool(tmp_path, SIZE)
    spool.adopt(line.epoch, line.pty)
    put(spool, line, b"a\xe2\x82", whole=False)
    spool.adopt(2, line.pty)
    assert [chunk.data for chunk in spool.read(0, 100)] == [b"a", b"\xe2\x82"]
    spool.close()


def test_the_exit_is_kept_for_the_pod(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SIZE, instance=5)
    assert spool.exit_mark == 0
    spool.exit_mark = 8
    spool.close()
    for instance, mark in ((5, 8), (6, 0), (6, 0)):
        spool = Spool(tmp_path, SIZE, instance=instance)
        assert spool.exit_mark == mark
        spool.close()


# -- files that are not as they were left


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(module, "log", lambda event, **_: found.append(event))
    return found


def filled(folder: Path, chunks: int = 20) -> None:
    line, spool = Line(), Spool(folder, SIZE)
    spool.adopt(1, line.pty)
    for _ in range(chunks):
        put(spool, line, b"x" * 1000)
    spool.close()
    line.close()


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "no output file": lambda folder: (folder / "output").unlink(),
    "no chunks file": lambda folder: (folder / "chunks").unlink(),
    "empty output file": lambda folder: (folder / "output").write_bytes(b""),
    "short chunks file": lambda folder: (folder / "chunks").write_bytes(b"\0" * 100),
    "output is not ours": lambda folder: overwrite(folder / "output", 0, b"GARBAGE!"),
    "chunks never written back": lambda folder: overwrite(folder / "chunks", PAGE, b"\0" * PAGE),
    "a record from nowhere": lambda folder: overwrite(folder / "chunks", PAGE + 16 * 7, b"\xff" * 8),
    "next is nonsense": lambda folder: overwrite(folder / "chunks", 8, b"\xff" * 8),
    "next is from before": lambda folder: overwrite(folder / "chunks", 8, b"\x03" + b"\0" * 7),
    "head is nonsense": lambda folder: overwrite(folder / "output", 8, b"\xff" * 8),
    "head is from before": lambda folder: overwrite(folder / "output", 8, b"\x05" + b"\0" * 7),
    "mirror is nonsense": lambda folder: overwrite(folder / "output", 32, b"\xff" * 8),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_transcript_starts_over_and_its_numbers_go_on(
    tmp_path: Path, logged: list[str], damage: Callable[[Path], Any]
) -> None:
    filled(tmp_path)
    damage(tmp_path)
    spool, line = Spool(tmp_path, SIZE), Line(2)
    assert spool.last_seq == 20
    assert logged == ["transcript-started-over"]
    spool.adopt(2, line.pty)
    put(spool, line, b"new")
    assert (spool.oldest_seq, spool.last_seq, everything(spool)) == (21, 21, b"new")
    spool.close()
    line.close()
    again = Spool(tmp_path, SIZE)
    assert everything(again) == b"new"
    assert len(logged) == 1
    again.close()


def test_another_size_starts_over_and_the_numbers_go_on(tmp_path: Path, logged: list[str]) -> None:
    filled(tmp_path)
    spool = Spool(tmp_path, 2 * SIZE)
    assert (spool.oldest_seq, spool.last_seq) == (21, 20)
    assert logged == ["transcript-started-over"]
    spool.close()


@settings(deadline=None)
@given(
    st.sampled_from(["output", "chunks"]),
    st.one_of(st.integers(0, 511), st.integers(PAGE, PAGE + 400)),
    st.binary(min_size=1, max_size=32),
)
def test_no_damage_to_one_file_breaks_it_or_turns_the_numbers_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: int, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    filled(folder)
    before = RingFile.peek(folder / "chunks")
    overwrite(folder / name, at, garbage)
    spool, line = Spool(folder, SIZE), Line(9)
    assert before is not None
    assert spool.last_seq >= 20
    spool.adopt(9, line.pty)
    put(spool, line, b"new")
    assert spool.read(spool.last_seq - 1, 100)[0].data == b"new"
    spool.close()
    line.close()
