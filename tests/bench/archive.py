"""The archive of a workspace of 5,000 files and 200 MB, beside other programs' in the same run; memory and echo too.

`PYTHONPATH=tests python -m bench.archive`
"""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import summary
from bench.sidecar import attach, frame, rig
from support.sidecar import Rig, ticket, until

FILES, SIZE = 5_000, 200_000_000
HARD_SHARE = 0.3
"""Of the bytes: pictures and the like, which do not compress."""
PYTHON_ZIP = """
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z:
    for folder, _, names in os.walk(sys.argv[1]):
        for name in names:
            z.write(os.path.join(folder, name))
"""


def workspace(root: Path) -> int:
    """Sources from this Python's own library and random bytes, in folders; returns their size."""
    sources = b"".join(path.read_bytes() for path in sorted(Path(os.__file__).parent.glob("*.py")))
    chance, total = random.Random(1), 0
    for number in range(FILES):
        size = int(SIZE / FILES * chance.choice((0.2, 0.5, 1, 1, 2.3)))
        hard = chance.random() < HARD_SHARE
        begin = chance.randrange(len(sources) - size)
        path = root / f"d{number % 50:02}" / f"e{number % 7}" / f"f{number}{'.png' if hard else '.py'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size) if hard else sources[begin : begin + size])
        total += size
    return total


def tree_kib(pid: int, field: str) -> int:
    """Memory of a process and its children."""
    total = 0
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total = next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return total
    return total + sum(tree_kib(int(child), field) for child in children)


def fetch(made: Rig) -> int:
    """Read a whole archive and drop it; its size."""
    connection, count = http.client.HTTPConnection("127.0.0.1", made.port, timeout=60), 0
    connection.request("GET", "/v1/archive", headers={"Authorization": f"Bearer {ticket(scope=['archive'])}"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    while piece := response.read(1 << 18):
        count += len(piece)
    connection.close()
    return count


def timed(name: str, size: int, work: Callable[[], int]) -> float:
    begun = time.monotonic()
    packed = work()
    rate = size / (time.monotonic() - begun) / 1e6
    print(f"{name}: {rate:.0f} MB/s, {packed / size:.2f} of the size")
    return rate


def program(target: Path, *words: str, into: bool = False) -> int:
    if into:
        with target.open("wb") as out:
            subprocess.run(words, check=True, stdout=out)
    else:
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return target.stat().st_size


def compare(root: Path, made: Rig, size: int) -> None:
    timed("sidecar (first, cold)", size, lambda: fetch(made))
    ours = timed("sidecar", size, lambda: fetch(made))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "a"
        pipeline = f"tar -C {root} -cf - . | gzip -1"
        theirs = timed("tar | gzip -1", size, lambda: program(target, "sh", "-c", pipeline, into=True))
        words = (sys.executable, "-c", PYTHON_ZIP, str(root), str(target))
        python = timed("Python's zipfile, level 1", size, lambda: program(target, *words))
    print(f"ratio: {ours / theirs:.2f} of tar | gzip, {ours / python:.2f} of zipfile")


def memory(made: Rig) -> None:
    assert made.sidecar is not None
    pid, stop, peak = made.sidecar.pid, threading.Event(), {"Rss": 0, "Pss": 0}
    before = {field: tree_kib(pid, field) for field in peak}

    def watch() -> None:
        while not stop.wait(0.02):
            for field in peak:
                peak[field] = max(peak[field], tree_kib(pid, field))

    watcher = threading.Thread(target=watch)
    watcher.start()
    fetch(made)
    stop.set()
    watcher.join()
    for field, value in peak.items():
        print(f"memory ({field}, sidecar and its child): {before[field] / 1024:.1f} -> {value / 1024:.1f} MiB")
    until("the child is gone", lambda: not Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    print(f"the sidecar afterwards: {tree_kib(pid, 'Rss') / 1024:.1f} MiB")


def echo(made: Rig) -> None:
    """A key's way through the terminal, alone and while archives are made."""
    connection, stream = attach(made, made.page()["lastSeq"])

    def keys(count: int, going: Callable[[], bool]) -> list[float]:
        times: list[float] = []
        while len(times) < count and going():
            begun = time.perf_counter()
            connection.sendall(b"\x82\x81\0\0\0\0x")
            frame(stream)
            times.append(time.perf_counter() - begun)
            time.sleep(0.002)
        return times

    keys(50, lambda: True)
    print(summary("echo alone", keys(500, lambda: True)))
    busy = threading.Thread(target=fetch, args=(made,))
    busy.start()
    print(summary("echo beside an archive", keys(10_000, busy.is_alive)))
    busy.join()
    stream.close()
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        size = workspace(root)
        print(f"{FILES} files, {size / 1e6:.0f} MB, {HARD_SHARE:.0%} of them compressed already")
        with rig("stty raw -echo; echo on; exec cat", CODESESSIONS_WORKSPACE_DIR=folder) as made:
            compare(root, made, size)
            memory(made)
            echo(made)


if __name__ == "__main__":
    main()
