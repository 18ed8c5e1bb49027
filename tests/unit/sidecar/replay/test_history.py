"""The state at any place of the ring is what following the whole output from its beginning gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_sidecar.replay.history import History
from codesessions_sidecar.replay.modes import Modes, Tracker
from codesessions_sidecar.spool import Spool
from unit.transcript.printing import Printer

SIZE = 512 << 10
MODES = [
    b"\x1b[?2004h",
    b"\x1b[?2004l",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[31m",
    b"\x1b[m",
    b"\x1b[?25l",
    b"\x1b]2;t\x07",
]


class Session:
    """A spool that is printed to, and the state behind each chunk, known from following everything."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.states = folder, {0: (repr(Modes()), b"")}
        self._truth = Tracker()
        self._random = random.Random(7)
        self.open()

    def open(self) -> None:
        self.spool = Spool(self.folder, SIZE)
        self.history = History(self.spool, self.folder, SIZE)

    def close(self) -> None:
        self.history.close()
        self.spool.close()

    def print(self, count: int, size: int = 20_000) -> None:
        printer = Printer(self.spool)
        for _ in range(count):
            data = (
                self._random.choice(MODES) + b"x" * self._random.randrange(size) + self._random.choice([b"\x1b[3", b""])
            )
            printer.print(data)
            self._truth.feed(data)
            self.states[self.spool.last_seq] = (repr(self._truth.modes), self._truth.tail)
            self.history.advance()

    async def check(self) -> None:
        for seq in range(self.spool.oldest_seq - 1, self.spool.last_seq + 1):
            found = await self.history.at(seq)
            assert (repr(found.modes), found.tail) == self.states[seq], seq


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(("count", "size"), [(5, 20_000), (60, 20_000), (300, 20_000), (20_000, 40), (40, 60_000)])
async def test_the_state_is_known_at_every_chunk_that_is_kept(session: Session, count: int, size: int) -> None:
    session.print(count, size)
    await session.check()


async def test_a_successor_knows_it_too(session: Session) -> None:
    for _ in range(5):
        session.print(50)
        session.close()
        session.open()
        await session.check()


async def test_most_of_the_ring_counts_as_kept(session: Session) -> None:
    session.print(300)
    assert session.spool.distance(session.spool.oldest_seq - 1, session.spool.last_seq) > SIZE * 0.6


async def test_what_was_not_followed_in_time_is_left_out(session: Session) -> None:
    session.print(100)
    printer = Printer(session.spool)
    for _ in range(40):
        printer.print(b"y" * 30_000)
    session.history.advance()
    assert (await session.history.at(session.spool.last_seq)).tail == b""


def test_a_torn_file_is_no_obstacle(session: Session) -> None:
    session.print(100)
    session.close()
    path = session.folder / "modes"
    data = bytearray(path.read_bytes())
    for index in range(4096, len(data), 97):
        data[index] ^= 0x55
    path.write_bytes(data)
    session.open()
    assert session.spool.oldest_seq <= session.spool.last_seq
