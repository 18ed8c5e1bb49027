from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from codesessions_sidecar import journal as module
from codesessions_sidecar.journal import CAPACITY, MAX_WRITERS, NOBODY, Journal, QueueFullError, writer_id
from hypothesis import given, settings
from hypothesis import strategies as st
from support.line import DEADLINE, Line

MARKER = b"\xffmarker\xff"


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line(7)
    yield made
    made.close()


def type_all(journal: Journal, line: Line) -> bytes:
    """Type all that waits; what the shell has read since the last call."""
    typed, deadline = b"", time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(BlockingIOError):
            journal.give(line.pty)
        typed += line.typed()
        if not journal.waiting:
            return typed + settled(line)
        assert time.monotonic() < deadline, f"{journal.waiting} bytes are still not typed"


def settled(line: Line) -> bytes:
    """What is still on its way: the shell's side is told later (a marker goes behind it)."""
    os.write(line.master, MARKER)
    typed, deadline = b"", time.monotonic() + DEADLINE
    while not typed.endswith(MARKER):
        typed += line.typed()
        assert time.monotonic() < deadline, "the marker never came"
    return typed.removesuffix(MARKER)


def queued(journal: Journal) -> bytes:
    """All that waits."""
    return journal._ring.read(journal.end - journal.waiting, journal.waiting)


def test_what_was_accepted_is_typed_in_order(tmp_path: Path, line: Line) -> None:
    journal = Journal(tmp_path)
    journal.adopt(7, line.pty)
    assert journal.accept(b"one ") == 4
    journal.accept(b"two")
    assert journal.waiting == 7
    assert type_all(journal, line) == b"one two"
    assert journal.waiting == 0
    journal.accept(b"three")
    assert type_all(journal, line) == b"three"
    journal.close()


def test_a_repeated_number_is_answered_and_not_taken(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.accept(b"abc", 5) == 3
    assert journal.accept(b"a body that differs", 5) == 3, "the answer of then"
    assert journal.accept(b"xy", 4) == 2
    assert journal.typed_before(6, 1) is None
    assert journal.typed_before(None, 1) is None
    journal.accept(b"!")
    journal.close()
    journal = Journal(tmp_path)
    assert journal.accept(b"abc", 5) == 3
    assert journal.last_seq() == 5
    assert queued(journal) == b"abc!"
    journal.close()


def test_each_writer_counts_for_itself(tmp_path: Path) -> None:
    ann, bob = writer_id("ann"), writer_id("bob")
    journal = Journal(tmp_path)
    for writer in (NOBODY, ann, bob, ann):
        journal.accept(f"<{writer}>".encode(), 1, writer)
        journal.accept(b"again", 1, writer)
        journal.accept(b".")
    journal.close()
    journal = Journal(tmp_path)
    assert [journal.last_seq(writer) for writer in (NOBODY, ann, bob, writer_id("eve"))] == [1, 1, 1, 0]
    assert journal.accept(b"a body that differs", 1, ann) == len(f"<{ann}>"), "the answer of then"
    assert queued(journal) == f"<{NOBODY}>.<{ann}>.<{bob}>..".encode()
    journal.close()


def test_who_has_not_typed_for_longest_is_forgotten_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for number in range(1, MAX_WRITERS + 3):
        journal.accept(b"x", 7, number)
        journal.accept(b"x", 7 + number, 1)  # the first one stays at it
    known = [number for number in range(1, MAX_WRITERS + 3) if journal.last_seq(number)]
    assert known == [1, *range(4, MAX_WRITERS + 3)]
    assert journal.last_seq(1) == 7 + MAX_WRITERS + 2
    journal.close()


class Mortal:
    """Numbers whose owner dies before the store that is one too many."""

    def __init__(self, numbers: memoryview, stores: int) -> None:
        self._numbers, self._left = numbers, stores

    def __getitem__(self, place: int | slice) -> Any:
        return self._numbers[place]

    def __setitem__(self, place: int | slice, value: Any) -> None:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        self._numbers[place] = value


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, MAX_WRITERS + 2), st.integers(0, 12)), max_size=60))
def test_whoever_dies_at_which_store_every_writer_is_heard_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal, numbers, expected = Journal(folder), dict.fromkeys(range(MAX_WRITERS + 3), 0), b""
    for writer, stores in actions:
        if journal.last_seq(writer) == 0:
            numbers[writer] = 0  # new, or forgotten
        numbers[writer] += 1
        data = f"<{writer}:{numbers[writer]}>".encode()
        expected += data
        ring = journal._ring
        ring.numbers, sound = Mortal(ring.numbers, stores), ring.numbers  # type: ignore[assignment]
        try:
            journal.accept(data, numbers[writer], writer)
        except KeyboardInterrupt:
            ring.numbers = sound
            journal.close()
            journal = Journal(folder)
            journal.accept(data, numbers[writer], writer)  # the retry
        else:
            ring.numbers = sound
    assert queued(journal) == expected
    journal.close()


def test_a_full_queue_takes_nothing_of_it(tmp_path: Path, line: Line) -> None:
    journal = Journal(tmp_path)
    journal.adopt(7, line.pty)
    journal.accept(b"x" * (CAPACITY - 1))
    with pytest.raises(QueueFullError):
        journal.accept(b"ab", 1)
    assert (journal.waiting, journal.last_seq()) == (CAPACITY - 1, 0)
    journal.accept(b"a", 1)
    assert type_all(journal, line) == b"x" * (CAPACITY - 1) + b"a"
    journal.close()


def test_input_of_an_earlier_pod_is_not_typed_in_the_next(tmp_path: Path, line: Line) -> None:
    journal = Journal(tmp_path, instance=1)
    journal.adopt(11, line.pty)
    journal.accept(b"rm -rf build\n", 1)
    journal.close()
    journal = Journal(tmp_path, instance=2)
    journal.accept(b"ls\n", 2)
    journal.close()
    journal = Journal(tmp_path, instance=2)  # the sidecar died before the shell came
    journal.adopt(22, line.pty)
    assert type_all(journal, line) == b"ls\n"
    assert journal.accept(b"rm -rf build\n", 1) == 13, "the numbers go on"
    journal.close()


def test_a_pipe_that_does_not_fit_is_emptied_with_what_waits(
    tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(module, "log", lambda event, **_: logged.append(event))
    journal = Journal(tmp_path)
    journal.adopt(7, line.pty)
    journal.accept(b"abc")
    os.write(line.pipes[3], b"more than waits")
    journal.adopt(7, line.pty)
    assert journal.waiting == 0
    assert logged == ["input-gap"]
    journal.accept(b"d")
    journal.adopt(7, line.pty)
    assert type_all(journal, line) == b"d"
    assert len(logged) == 1
    journal.close()


def test_what_is_typed_into_a_terminal_that_is_gone_is_forgotten(tmp_path: Path, line: Line) -> None:
    class Gone:
        offer, forget = line.pty.offer, line.pty.forget

        def push(self, _most: int) -> int:
            raise OSError(errno.EIO, "gone")

    journal = Journal(tmp_path)
    journal.adopt(7, line.pty)
    journal.accept(b"abc")
    journal.give(Gone())  # type: ignore[arg-type]
    assert (journal.waiting, line.pty.typed) == (0, 0)
    journal.accept(b"d")
    assert type_all(journal, line) == b"d"
    journal.close()


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 512, b"\0" * 4096])
def test_a_damaged_file_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, garbage: bytes) -> None:
    logged: list[str] = []
    monkeypatch.setattr(module, "log", lambda event, **_: logged.append(event))
    (tmp_path / "input").write_bytes(garbage)
    journal = Journal(tmp_path)
    journal.accept(b"x", 1)
    assert queued(journal) == b"x"
    journal.close()
    assert logged == ["input-journal-started-over"]


def test_numbers_that_do_not_fit_start_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(module, "log", lambda event, **_: logged.append(event))
    journal = Journal(tmp_path)
    journal.close()
    with (tmp_path / "input").open("r+b") as file:
        file.seek(3 * 8)
        file.write(b"\xff" * 8)
    journal = Journal(tmp_path)
    assert journal.waiting == 0
    journal.close()
    assert logged == ["input-journal-started-over"]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["accept", "give", "read", "crash"]), st.integers(1, 30_000), st.integers(0, 4)),
        max_size=40,
    )
)
def test_whoever_dies_at_which_store_each_byte_is_typed_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, int]]
) -> None:
    folder, line = tmp_path_factory.mktemp("journal"), Line(7)
    journal, accepted, typed, number = Journal(folder, 1), b"", b"", 0
    journal.adopt(7, line.pty)
    for name, amount, stores in actions:
        if name == "read":
            typed += line.typed()
        elif name == "accept":
            number += 1
            data = bytes([number % 256]) * amount
            try:
                journal.accept(data, number)
            except QueueFullError:
                number -= 1
                continue
            journal.accept(data, number)  # a retry
            accepted += data
        else:
            ring = journal._ring
            sound = ring.numbers
            ring.numbers = Mortal(sound, stores if name == "crash" else -1)  # type: ignore[assignment]
            with contextlib.suppress(BlockingIOError, KeyboardInterrupt):
                journal.give(line.pty)
            ring.numbers = sound
            if name == "crash":
                journal.close()
                journal = Journal(folder, 1)
                ring = journal._ring
                sound = ring.numbers
                ring.numbers = Mortal(sound, stores)  # type: ignore[assignment]
                with contextlib.suppress(KeyboardInterrupt):
                    journal.adopt(7, line.pty)
                ring.numbers = sound
                journal.adopt(7, line.pty)
    assert typed + type_all(journal, line) == accepted
    journal.close()
    line.close()
