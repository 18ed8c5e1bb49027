"""The real launcher and sidecar alone, no Kubernetes: memory, throughput and echo.

`PYTHONPATH=tests python -m bench.sidecar`
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bench import processes
from bench.figures import summary
from support.sidecar import Rig

SIZE = 100_000_000
LINE = "0123456789" * 7 + "012345678"
FLOOD = f"stty -opost -echo; echo on; read x; yes {LINE} | head -c {SIZE}; exec sleep 1000"
ROUNDS = 1000


@contextmanager
def rig(script: str, **environment: str) -> Iterator[Rig]:
    """A shell that runs `script`, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        made = Rig(Path(folder), **environment)
        try:
            made.start_sidecar()
            made.start_launcher("/bin/sh", "-c", script)
            made.read_until("on")
            yield made
        finally:
            made.stop()


def pid_of(made: Rig) -> int:
    assert made.sidecar is not None
    return made.sidecar.pid


def attach(made: Rig, after: int) -> tuple[socket.socket, BinaryIO]:
    """A raw WebSocket, after its handshake."""
    connection = socket.create_connection(("127.0.0.1", made.port), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        f"GET /v1/attach?afterSeq={after} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {made.token}\r\n\r\n".encode()
    )
    stream = connection.makefile("rb")
    while stream.readline() != b"\r\n":
        pass
    return connection, stream


def frame(stream: BinaryIO) -> bytes:
    """The payload of the next frame that is not a ping."""
    while True:
        first, length = stream.read(2)
        if length == 126:
            length = int.from_bytes(stream.read(2), "big")
        elif length == 127:
            length = int.from_bytes(stream.read(8), "big")
        payload = stream.read(length)
        if first & 15 != 9:
            return payload


def flood_by_websocket() -> None:
    with rig(FLOOD) as made:
        idle, seen = processes.resident(pid_of(made)), made.page()["lastSeq"]
        connection, stream = attach(made, seen)
        watched = processes.resident(pid_of(made))
        made.type("\n")
        begun, used, count = time.monotonic(), processes.cpu(pid_of(made)), 0
        while count < SIZE:
            count += len(frame(stream))
        seconds = time.monotonic() - begun
        share = (processes.cpu(pid_of(made)) - used) / seconds
        after = processes.resident(pid_of(made))
        print(f"memory: idle {idle:.1f} MiB, with a WebSocket {watched:.1f}, after 100 MB {after:.1f}")
        print(f"output by WebSocket: {count / seconds / 1e6:.0f} MB/s, sidecar at {share:.0%} of a CPU")
        stream.close()
        connection.close()


def flood_by_get() -> None:
    with rig(FLOOD) as made:
        connection, seen = http.client.HTTPConnection("127.0.0.1", made.port, timeout=30), made.page()["lastSeq"]
        made.type("\n")
        begun, used, count, missed = time.monotonic(), processes.cpu(pid_of(made)), 0, False
        while count < SIZE and not missed:
            headers = {"Authorization": f"Bearer {made.token}"}
            connection.request("GET", f"/v1/output?after={seen}&wait=5", headers=headers)
            page = json.loads(connection.getresponse().read())
            count += sum(len(chunk["text"]) for chunk in page["chunks"])
            seen, missed = page["chunks"][-1]["seq"], page["truncated"]
        seconds = time.monotonic() - begun
        share = (processes.cpu(pid_of(made)) - used) / seconds
        note = " (this reader fell behind the ring)" if missed else ""
        print(f"output by GET: {count / seconds / 1e6:.0f} MB/s, sidecar at {share:.0%} of a CPU{note}")
        connection.close()


def echo() -> None:
    with rig("stty raw -echo; echo on; exec cat") as made:
        seen = made.page()["lastSeq"]
        connection, stream = attach(made, seen)
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            connection.sendall(b"\x82\x81\0\0\0\0x")
            frame(stream)
            times.append(time.perf_counter() - begun)
        print(summary("echo by WebSocket", times))
        stream.close()
        connection.close()
        typing, reading = (http.client.HTTPConnection("127.0.0.1", made.port, timeout=30) for _ in range(2))
        headers, times = {"Authorization": f"Bearer {made.token}"}, []
        seen = made.page(made.page()["lastSeq"], wait=0)["lastSeq"]
        for _ in range(ROUNDS // 2):
            reading.request("GET", f"/v1/output?after={seen}&wait=5", headers=headers)
            begun = time.perf_counter()
            typing.request("POST", "/v1/input", b"x", headers)
            typing.getresponse().read()
            seen = json.loads(reading.getresponse().read())["lastSeq"]
            times.append(time.perf_counter() - begun)
        print(summary("echo by POST and a held GET", times))
        typing.close()
        reading.close()


def main() -> None:
    """Print the figures."""
    flood_by_websocket()
    flood_by_get()
    echo()


if __name__ == "__main__":
    main()
