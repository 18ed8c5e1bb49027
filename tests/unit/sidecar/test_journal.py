from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from codesessions_sidecar import journal as module
from codesessions_sidecar.journal import CAPACITY, MAX_WRITERS, NOBODY, Journal, QueueFullError, writer_id
from hypothesis import given, settings
from hypothesis import strategies as st


def give_all(journal: Journal) -> bytes:
    given = b""
    while data := journal.peek():
        given += data
        journal.gave(len(data))
    return given


def test_what_was_accepted_is_given_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.accept(b"one ") == 4
    journal.accept(b"two")
    assert journal.waiting == 7
    journal.gave(2)
    assert give_all(journal) == b"e two"
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
    assert journal.peek() == b"abc!"
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
    assert journal.peek() == f"<{NOBODY}>.<{ann}>.<{bob}>..".encode()
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
    assert journal.peek() == expected
    journal.close()


def test_a_full_queue_takes_nothing_of_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.accept(b"x" * (CAPACITY - 1))
    with pytest.raises(QueueFullError):
        journal.accept(b"ab", 1)
    assert (journal.waiting, journal.last_seq()) == (CAPACITY - 1, 0)
    journal.accept(b"a", 1)
    assert give_all(journal) == b"x" * (CAPACITY - 1) + b"a"
    journal.close()


def test_input_of_an_earlier_pod_is_not_typed_in_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path, instance=1)
    journal.adopt(11, 0)
    journal.accept(b"rm -rf build\n", 1)
    journal.close()
    journal = Journal(tmp_path, instance=2)
    journal.accept(b"ls\n", 2)
    journal.close()
    journal = Journal(tmp_path, instance=2)  # the sidecar died before the shell came
    journal.adopt(22, 0)
    assert give_all(journal) == b"ls\n"
    assert journal.accept(b"rm -rf build\n", 1) == 13, "the numbers go on"
    journal.close()


def test_a_count_that_cannot_be_drops_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(module, "log", lambda event, **_: logged.append(event))
    journal = Journal(tmp_path)
    journal.adopt(1, 0)
    journal.accept(b"abc")
    journal.adopt(1, 4)
    assert journal.waiting == 0
    assert logged == ["input-gap"]
    journal.accept(b"d")
    journal.adopt(1, 5)
    assert journal.waiting == 0
    assert len(logged) == 1
    journal.close()


@pytest.mark.parametrize("garbage", [b"", b"\xff" * 512, b"\0" * 4096])
def test_a_damaged_file_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, garbage: bytes) -> None:
    logged: list[str] = []
    monkeypatch.setattr(module, "log", lambda event, **_: logged.append(event))
    (tmp_path / "input").write_bytes(garbage)
    journal = Journal(tmp_path)
    journal.accept(b"x", 1)
    assert journal.peek() == b"x"
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
        st.tuples(st.sampled_from(["accept", "give", "crash", "crash after giving"]), st.integers(1, 5000)), max_size=80
    )
)
def test_whoever_dies_when_each_byte_is_given_once(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal, accepted, given, number = Journal(folder, 1), b"", b"", 0
    journal.adopt(7, 0)
    for name, amount in actions:
        if name == "accept":
            number += 1
            data = bytes([number % 256]) * amount
            try:
                journal.accept(data, number)
            except QueueFullError:
                number -= 1
                continue
            journal.accept(data, number)  # a retry
            accepted += data
            continue
        if name in {"give", "crash after giving"}:
            data = journal.peek(amount)
            given += data
            if name == "give":
                journal.gave(len(data))
        if name.startswith("crash"):
            journal.close()
            journal = Journal(folder, 1)
            journal.adopt(7, len(given))
    assert given + give_all(journal) == accepted
    journal.close()
