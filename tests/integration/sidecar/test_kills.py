"""The promise: a killed sidecar loses no byte, doubles none, and leaves no gap in the numbering."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from pathlib import Path

import pytest

from support.sidecar import Rig

SIZE = 20_000_000
BURST = f"""
stty -opost -echo
exec python3 -c "
import hashlib, sys
line = lambda n: (hashlib.sha256(str(n).encode()).hexdigest() + '0123456789abcde\\n').encode()
out = sys.stdout.buffer
for block in range({SIZE} // 80 // 1000):
    out.write(b''.join(line(n) for n in range(block * 1000, block * 1000 + 1000)))
out.flush()
"
"""


def expected() -> str:
    digest = hashlib.sha256()
    for number in range(SIZE // 80):
        digest.update((hashlib.sha256(str(number).encode()).hexdigest() + "0123456789abcde\n").encode())
    return digest.hexdigest()


def read_all(rig: Rig) -> tuple[str, list[int]]:
    """Hash and numbers of everything, read after the fact."""
    digest, seqs, after = hashlib.sha256(), [], 0
    while True:
        page = rig.page(after)
        for chunk in page["chunks"]:
            digest.update(chunk["text"].encode())
            seqs.append(chunk["seq"])
            after = chunk["seq"]
        if page["exit"] is not None and after == page["lastSeq"]:
            return digest.hexdigest(), seqs


@pytest.mark.timeout(180)
def test_twenty_kills_during_a_burst_of_20_mb_change_no_byte(rig: Rig) -> None:
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", BURST)
    chance = random.Random(7)
    for _ in range(20):
        time.sleep(chance.uniform(0.005, 0.05))  # a random moment is the point here
        rig.kill_sidecar()
        rig.start_sidecar()
    digest, seqs = read_all(rig)
    assert seqs == list(range(1, len(seqs) + 1))
    assert digest == expected()


def test_what_is_typed_while_the_sidecar_is_killed_arrives_once(rig: Rig) -> None:
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "stty raw -echo; exec cat")
    chance = random.Random(11)
    stop = threading.Event()

    def kill() -> None:
        for _ in range(10):
            time.sleep(chance.uniform(0.01, 0.06))
            rig.kill_sidecar()
            rig.start_sidecar()
        stop.set()

    killer = threading.Thread(target=kill)
    killer.start()
    number = 0
    while not stop.is_set():
        number += 1
        while True:  # retry with the same inputSeq until it is answered, as a client does
            try:
                if rig.call("POST", f"/v1/input?inputSeq={number}", f"<{number}>".encode())[0] == 200:
                    break
            except OSError:
                time.sleep(0.005)
    killer.join()
    text, _ = rig.read_until(f"<{number}>")
    assert text == "".join(f"<{each}>" for each in range(1, number + 1))


def test_another_pod_goes_on_with_the_numbering(tmp_path: Path, rig: Rig) -> None:
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "echo first; exec sleep 100")
    _, last = rig.read_until("first\r\n")
    rig.stop()
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "echo second; exec sleep 100")
    text, _ = rig.read_until("second\r\n", last)
    assert text == "second\r\n"
    assert rig.read_until("second\r\n")[0] == "first\r\nsecond\r\n"
