"""The promise: a killed sidecar loses no byte, doubles none, and leaves no gap in the numbering."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import random
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_sidecar.spool import MAX_READ, Spool
from support.faults import scaled
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
PIECE = 4095  # what a read of a pty gives at most


class Source:
    """The launcher's part: known bytes into the pair, counted."""

    def __init__(self, size: int) -> None:
        self.mine, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.mine.setblocking(False)
        self.data = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32))
        self.sent = 0

    def feed(self) -> None:
        """Put in what fits."""
        with contextlib.suppress(BlockingIOError):
            while self.sent < len(self.data):
                self.sent += self.mine.send(self.data[self.sent : self.sent + PIECE])

    def taken(self) -> int:
        unread: int = struct.unpack("i", fcntl.ioctl(self.theirs, termios.FIONREAD, b"\0" * 4))[0]
        return self.sent - unread


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source(40_000_000)
    yield made
    made.mine.close()
    made.theirs.close()


def take(folder: Path, source: Source) -> None:
    """What a sidecar does with output."""
    spool = Spool(folder, 64 << 20)
    spool.adopt(1, source.taken())
    while True:
        with contextlib.suppress(BlockingIOError):
            spool.receive(source.theirs)
            spool.cut()


def test_two_hundred_deaths_at_any_instruction_change_no_byte(tmp_path: Path, source: Source) -> None:
    Spool(tmp_path, 64 << 20).close()
    chance, before, rescued = random.Random(3), 0, 0
    for _ in range(DEATHS):
        source.feed()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                take(tmp_path, source)
            os._exit(1)
        wanted = source.taken() + chance.randrange(1, len(source.data) // DEATHS)
        while source.taken() < min(wanted, len(source.data)):
            source.feed()
        for _ in range(chance.randrange(2000)):
            pass
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "it died of something else"
        with (tmp_path / "output").open("rb") as file:
            rescued += int.from_bytes(os.pread(file.fileno(), 8, 8), "little") != source.taken()
        spool = Spool(tmp_path, 64 << 20)
        spool.adopt(1, source.taken())
        assert spool.head == source.taken()
        assert spool.last_seq >= before
        before = spool.last_seq
        spool.close()
    spool = Spool(tmp_path, 64 << 20)
    spool.cut(whole=True)
    chunks = spool.read(0, len(source.data))
    assert [chunk.seq for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert all(len(chunk.data) <= MAX_READ for chunk in chunks)
    assert b"".join(chunk.data for chunk in chunks) == source.data[: source.taken()]
    print(f"{rescued} of {DEATHS} fell between the receive and its count")
    spool.close()
