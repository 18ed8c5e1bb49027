"""Gigabytes through a ring of 4 MiB, with a viewer that takes a part of it: what it gets is right, the rest is said."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.conformance import Loopback, Terminal
from support.faults import scaled
from support.sidecar import Rig, until
from support.viewer import Viewer

RING = 4 << 20
LINES = scaled(300 << 20, 4 << 30) // 16
FIRST = 100_000_000_000_000
FLOOD = f"stty -echo -opost; echo on; read x; seq {FIRST} {FIRST + LINES - 1}; echo end; exec sleep 1000"


def resident_mib(rig: Rig) -> float:
    assert rig.sidecar is not None
    lines = Path(f"/proc/{rig.sidecar.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def stored(rig: Rig) -> int:
    """Bytes that the shell has printed, as the sidecar counts them."""
    text = rig.call("GET", "/metrics")[1]["text"]
    found = re.search(r"^codesessions_pty_output_bytes_total (\d+)$", text, re.MULTILINE)
    assert found is not None
    return int(found[1])


class Checker:
    """Follows the lines of the flood: each is its predecessor and one, but behind a truncation."""

    def __init__(self) -> None:
        self.lines = self.truncations = 0
        self.number = FIRST - 1
        self._left = b""
        self._lost = False

    def lose(self) -> None:
        """What comes next is not the continuation."""
        self.truncations += 1
        self._lost, self._left = True, b""

    def feed(self, data: bytes) -> bool:
        """More of it; whether this was the end."""
        lines = (self._left + data).split(b"\n")
        self._left = lines.pop()
        if self._lost and lines:
            if len(lines[0]) == 15:  # it may begin at a line's start by chance
                lines.insert(0, b"")
            if len(lines) < 2 or lines[1] == b"end":
                return lines[-1] == b"end"
            self._lost, self.number = False, int(lines[1]) - 1
            lines = lines[1:]
        for line in lines:
            if line == b"end":
                assert self.number == FIRST + LINES - 1
                return True
            self.number += 1
            assert line == b"%d" % self.number
        self.lines += len(lines)
        return False


@pytest.mark.timeout(1200)
def test_a_flood_through_a_small_ring_with_a_slow_viewer(make: Callable[..., Rig]) -> None:
    rig = make(CODESESSIONS_SPOOL_BYTES=str(RING))
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", FLOOD)
    rig.read_until("on\n")
    terminal = Terminal(
        Loopback(rig), f"ws://127.0.0.1:{rig.port}/v1/attach", {"Authorization": f"Bearer {rig.token}"}, ring=RING
    )
    viewer, checker = Viewer(terminal, "codesessions.v1+binary", after=0), Checker()
    viewer.until(b"on\n")
    del viewer.shown[:]
    rig.type("\n")
    sizes: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            sizes.append(resident_mib(rig))

    watching = threading.Thread(target=watch)
    watching.start()
    until("the viewer is behind", lambda: stored(rig) > 16 * RING, seconds=240)
    try:
        ended, last = False, viewer.seqs[-1]
        while not ended:
            told = len(viewer.told)
            assert viewer.next(seconds=60)
            for message in viewer.told[told:]:
                if message["type"] == "truncated":
                    assert message["oldestSeq"] > last + 1
                    checker.lose()
                    last = message["oldestSeq"] - 1
            if viewer.shown:
                assert viewer.seqs[-1] > last
                last = viewer.seqs[-1]
                ended = checker.feed(bytes(viewer.shown))
                del viewer.shown[:]
            time.sleep(0.002)
    finally:
        done.set()
        watching.join()
        viewer.cut()
    assert checker.truncations > 0
    assert checker.lines > 1000
    page = rig.page(0)
    assert page["truncated"]
    assert sum(len(chunk["text"]) for chunk in page["chunks"]) > 0
    assert max(sizes) < 30
    print(f"{LINES * 16 >> 20} MiB, {checker.lines * 16 >> 20} MiB seen, {checker.truncations} truncations")
