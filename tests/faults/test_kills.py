"""The promise: a killed sidecar loses no byte, doubles none, and leaves no gap in the numbering."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from codesessions_sidecar.journal import Journal, QueueFullError
from codesessions_sidecar.spool import MAX_READ, Spool
from support.faults import scaled
from support.line import DEADLINE, Line
from support.sidecar import Rig, until

KILLS = scaled(20, 200)
SIZE = KILLS * 1_000_000
"""Of the burst. It waits where the next kill is overdue; each adds a byte to the file `gate`."""
BURST = f"""
stty -opost -echo
exec python3 -c "
import hashlib, os, sys, time
line = lambda n: (hashlib.sha256(str(n).encode()).hexdigest() + '0123456789abcde\\n').encode()
out = sys.stdout.buffer
for block in range({SIZE} // 80 // 1000):
    while block * 80000 >= {SIZE} * (1 + os.path.getsize('gate')) // {KILLS + 1}:
        time.sleep(0.001)
    out.write(b''.join(line(n) for n in range(block * 1000, block * 1000 + 1000)))
out.flush()
"
"""


def expected() -> str:
    digest = hashlib.sha256()
    for number in range(SIZE // 80):
        digest.update((hashlib.sha256(str(number).encode()).hexdigest() + "0123456789abcde\n").encode())
    return digest.hexdigest()


class Reader(threading.Thread):
    """Polls all the time, as a client does; a killed sidecar is a failed call, and the next one asks again."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self._rig = rig
        self.digest, self.seqs, self.truncated = hashlib.sha256(), [0], False
        self.failed: AssertionError | None = None

    def run(self) -> None:
        try:
            self._read()
        except AssertionError as error:
            self.failed = error

    def _read(self) -> None:
        deadline = time.monotonic() + 1000
        while True:
            assert time.monotonic() < deadline, f"no end; chunk {self.seqs[-1]} was the last"
            try:
                page = self._rig.page(self.seqs[-1], wait=5)
            except (OSError, ValueError, http.client.HTTPException):  # nobody there, or the answer was cut off
                continue
            self.truncated |= page["truncated"]
            for chunk in page["chunks"]:
                self.digest.update(chunk["text"].encode())
                self.seqs.append(chunk["seq"])
            if page["exit"] is not None and self.seqs[-1] == page["lastSeq"]:
                return


def stored(rig: Rig) -> int:
    """Bytes in the transcript, read from its file as it grows."""
    with (rig.data_dir / "output").open("rb") as file:
        return int.from_bytes(os.pread(file.fileno(), 8, 8), "little")


@pytest.mark.timeout(1200)
def test_kills_at_random_moments_of_a_burst_change_no_byte(rig: Rig) -> None:
    rig.start_sidecar()
    gate = rig.folder / "gate"
    gate.touch()
    rig.start_launcher("/bin/sh", "-c", f"cd {rig.folder}; {BURST}")
    reader, chance = Reader(rig), random.Random(7)
    reader.start()
    for number in range(KILLS):
        wanted = SIZE * number // (KILLS + 1) + chance.randrange(100_000)
        until("the burst goes on", lambda wanted=wanted: stored(rig) > wanted)  # type: ignore[misc]
        assert stored(rig) < SIZE, "the kill must fall into the burst"
        with gate.open("ab") as file:
            file.write(b"x")
        rig.kill_sidecar()
        rig.start_sidecar()
    reader.join()
    assert reader.failed is None
    assert not reader.truncated
    assert reader.seqs == list(range(len(reader.seqs)))
    assert reader.digest.hexdigest() == expected()
    after = Reader(rig)  # and once more, after the fact
    after.start()
    after.join()
    assert (after.failed, after.seqs, after.digest.hexdigest()) == (None, reader.seqs, expected())


def test_what_is_typed_while_the_sidecar_is_killed_arrives_once(rig: Rig) -> None:
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "stty raw -echo; echo on; exec cat")
    _, seen = rig.read_until("on\n")
    chance = random.Random(11)
    stop = threading.Event()
    progress = 0

    def kill() -> None:
        for _ in range(10):
            wanted = progress + chance.randrange(1, 10)
            until("typing goes on", lambda wanted=wanted: progress >= wanted)  # type: ignore[misc]
            rig.kill_sidecar()
            rig.start_sidecar()
        stop.set()

    killer = threading.Thread(target=kill)
    killer.start()
    while not stop.is_set():
        number = progress + 1

        def typed(number: int = number) -> bool:  # a retry has the same inputSeq, as a client's has
            try:
                return rig.call("POST", f"/v1/input?inputSeq={number}", f"<{number}>".encode())[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        until("it is accepted", typed)
        progress = number
    killer.join()
    text, _ = rig.read_until(f"<{progress}>", seen)
    assert text == "".join(f"<{each}>" for each in range(1, progress + 1))


def test_another_pod_goes_on_with_the_numbering(tmp_path: Path, rig: Rig) -> None:
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "echo first; exec sleep 100")
    _, last = rig.read_until("first\r\n")
    rig.stop()
    for left in rig.run_dir.iterdir():  # an emptyDir: it goes with the pod
        left.unlink()
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "echo second; exec sleep 100")
    text, _ = rig.read_until("second\r\n", last)
    assert text == "second\r\n"
    assert rig.read_until("second\r\n")[0] == "first\r\nsecond\r\n"


# -- two hundred deaths at random instructions, without the time a process takes to start


DEATHS = 200
SPOOL = 64 << 20


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def child(work: Callable[[], None]) -> int:
    """Start a process that does this until it is killed, or the test has gone; its number."""
    parent, number = os.getpid(), os.fork()
    if number == 0:
        with contextlib.suppress(BaseException):
            while os.getppid() == parent:
                work()
        os._exit(1)
    return number


def kill(number: int, chance: random.Random) -> None:
    """SIGKILL, a random moment from now."""
    for _ in range(chance.randrange(2000)):
        pass
    os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    assert os.WIFSIGNALED(status), "it died of something else"


def test_two_hundred_deaths_at_any_instruction_change_no_byte(tmp_path: Path, line: Line) -> None:
    data = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(40_000_000 // 32))
    chance, before, printed, rescued = random.Random(3), 0, 0, 0

    def head() -> int:
        with (tmp_path / "output").open("rb") as file:
            return int.from_bytes(os.pread(file.fileno(), 8, 8), "little")

    spool = Spool(tmp_path, SPOOL)
    spool.adopt(line.epoch, line.pty)
    for _ in range(DEATHS):

        def take(spool: Spool = spool) -> None:  # what a sidecar does with output
            with contextlib.suppress(BlockingIOError):
                spool.receive(line.pty)
                spool.cut()

        victim = child(take)
        wanted = min(head() + chance.randrange(1, len(data) // DEATHS), len(data))
        deadline = time.monotonic() + DEADLINE
        while head() < wanted:
            assert time.monotonic() < deadline, "it takes nothing"
            printed += line.write(data[printed : printed + 4095])
        kill(victim, chance)
        spool.close()
        died_at = head()
        spool = Spool(tmp_path, SPOOL)
        spool.adopt(line.epoch, line.pty)
        rescued += spool.head != died_at or line.pty.printed > 0
        assert spool.last_seq >= before
        before = spool.last_seq
    assert rescued, "not one death fell where it could have done harm"
    deadline = time.monotonic() + DEADLINE
    while spool.head < printed:
        assert time.monotonic() < deadline, f"{printed - spool.head} bytes are missing"
        with contextlib.suppress(BlockingIOError):
            spool.receive(line.pty)
    spool.cut(whole=True)
    chunks = spool.read(0, len(data))
    assert [chunk.seq for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert all(len(chunk.data) <= MAX_READ for chunk in chunks)
    assert b"".join(chunk.data for chunk in chunks) == data[:printed]
    print(f"{rescued} of {DEATHS} died with bytes on their way")
    spool.close()


def test_two_hundred_deaths_while_typing_type_every_byte_once(tmp_path: Path, line: Line) -> None:
    chance, typed, rescued = random.Random(4), b"", 0
    journal = Journal(tmp_path)
    journal.adopt(line.epoch, line.pty)
    for _ in range(DEATHS):

        def give(journal: Journal = journal) -> None:  # what a sidecar does with input
            number = journal.last_seq() + 1
            with contextlib.suppress(BlockingIOError, QueueFullError):
                journal.accept(b"<%d>" % number, number)
                journal.give(line.pty)

        victim = child(give)
        enough, deadline = len(typed) + chance.randrange(1, 20_000), time.monotonic() + DEADLINE
        while len(typed) < enough:
            assert time.monotonic() < deadline, "it types nothing"
            typed += line.typed()
        kill(victim, chance)
        journal.close()
        journal = Journal(tmp_path)
        rescued += line.pty.typed > 0
        journal.adopt(line.epoch, line.pty)
    assert rescued, "not one death fell where it could have done harm"
    wanted = b"".join(b"<%d>" % number for number in range(1, journal.last_seq() + 1))
    deadline = time.monotonic() + DEADLINE
    while len(typed) < len(wanted):
        assert time.monotonic() < deadline, f"{len(wanted) - len(typed)} bytes are missing"
        with contextlib.suppress(BlockingIOError):
            journal.give(line.pty)
        typed += line.typed()
    assert typed == wanted
    print(f"{journal.last_seq()} inputs, {rescued} of {DEATHS} died with bytes on their way")
    journal.close()
