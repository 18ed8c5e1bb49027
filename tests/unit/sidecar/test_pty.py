"""A real pty between the two pipes."""

from __future__ import annotations

import contextlib
import os
import socket
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_sidecar.pty import Pty
from support.line import DEADLINE, Line


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("kind", ["too few", "too many", "a file", "a socket", "the shell's side", "a pipe first"])
def test_what_is_no_terminal_is_not_taken_and_closed(line: Line, tmp_path: Path, kind: str) -> None:
    with (tmp_path / "file").open("wb") as file, socket.socket() as connection:
        good = line.descriptors
        assert line.shell is not None
        offered = {
            "too few": good[:4],
            "too many": [*good, good[1]],
            "a file": [*good[:4], file.fileno()],
            "a socket": [good[0], connection.fileno(), *good[2:]],
            "the shell's side": [line.shell, *good[1:]],
            "a pipe first": [good[1], *good[1:]],
        }[kind]
        before = open_files()
        assert Pty.take([os.dup(each) for each in offered]) is None
        assert open_files() == before


def test_what_is_taken_does_not_block_and_is_closed_without_the_launchers_copies(line: Line) -> None:
    for each in line.descriptors:
        os.set_blocking(each, True)
    before = open_files()
    pty = Pty.take([os.dup(each) for each in line.descriptors])
    assert pty is not None
    assert not any(os.get_blocking(each) for each in line.descriptors)
    pty.close()
    assert open_files() == before


def test_output_goes_into_its_pipe(line: Line) -> None:
    with pytest.raises(BlockingIOError):
        line.pty.pull(100)
    line.print(b"abc")
    assert line.pty.pull(2) == 2
    assert line.pty.printed == 2
    assert line.pty.pull(100) == 1
    assert os.read(line.pty.output, 100) == b"abc"
    assert line.pty.printed == 0


def test_a_flood_comes_in_pieces_as_large_as_asked_for(line: Line) -> None:
    data = bytes(range(256)) * 4000
    seen, rest, deadline = b"", data, time.monotonic() + DEADLINE
    while len(seen) < len(data):
        assert time.monotonic() < deadline
        if rest:
            rest = rest[line.print(rest) :]
        try:
            count = line.pty.pull(65536)
        except BlockingIOError:
            continue
        assert 0 < count <= 65536
        piece = os.read(line.pty.output, 65536)
        assert len(piece) == count
        seen += piece
    assert seen == data


def test_a_terminal_that_nobody_has_open_says_so_behind_its_last_byte(line: Line) -> None:
    line.print(b"x")
    line.hang_up()
    assert line.pty.pull(100) == 1
    with pytest.raises(OSError, match="Input/output error"):
        line.pty.pull(100)


def test_what_the_terminal_does_not_take_stays_in_the_pipe(line: Line) -> None:
    data = bytes(range(256)) * 256
    assert line.pty.offer(data) == len(data)
    with pytest.raises(BlockingIOError):
        line.pty.offer(b"more")
    pushed = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            pushed += line.pty.push(len(data))
    assert 0 < pushed < len(data), "a terminal holds some 12 KiB"
    assert line.pty.typed == len(data) - pushed
    typed, deadline = b"", time.monotonic() + DEADLINE
    while len(typed) < pushed:
        typed += line.typed()
        assert time.monotonic() < deadline
    assert typed == data[:pushed]
    line.pty.forget()
    assert line.pty.typed == 0
    line.pty.forget()


def test_the_size_is_the_terminals(line: Line) -> None:
    line.pty.size = 50, 132
    assert termios.tcgetwinsize(line.master) == (50, 132)
    termios.tcsetwinsize(line.master, (7, 8))
    assert line.pty.size == (7, 8)
