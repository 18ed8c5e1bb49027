"""What the gateway's hop costs: bytes through it and echoes, beside the same without it, in one run.

Three processes: a terminal that prints as fast as it can and echoes, the gateway, a client. Needs no cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop
from codesessions_api.gateway.frames import accept_key
from codesessions_crds.names import PTY_PORT
from support.gateway import BINARY, TEXT, Peer, frame, gateway_rig, read_head
from support.restapi import own_address

MEGABYTES = 256
ECHOES = 2000
ROUNDS = 3
BLOCK = frame(BINARY, b"x" * 65536)


async def terminal(address: str) -> None:
    """Prints `MEGABYTES` to whoever asks with afterSeq=0, echoes to all others."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers = await read_head(reader)
        key = accept_key(headers["sec-websocket-key"])
        accepted = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}"
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\n{accepted}\r\n\r\n".encode())
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if "afterSeq=0" in first:
            for _ in range(MEGABYTES * 16):
                writer.write(BLOCK)
                await writer.drain()
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, address, PTY_PORT)
    print("ready", flush=True)
    await server.serve_forever()


async def gateway(address: str) -> None:
    """The gateway alone; on a line of input it says what CPU it has used."""
    async with gateway_rig(terminal_at=address) as rig:
        print(json.dumps({"port": rig.port, "key": rig.key}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            used = resource.getrusage(resource.RUSAGE_SELF)
            print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss}), flush=True)


async def connect(host: str, port: int, key: str, path: str) -> Peer:
    """A WebSocket."""
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-API-Key: {key}\r\n"
    writer.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first, _ = await read_head(reader)
    assert " 101 " in first, first
    return Peer(reader, writer)


async def rate(host: str, port: int, key: str) -> float:
    """MB/s."""
    peer = await connect(host, port, key, "/cs_abc123?afterSeq=0")
    left, begun = MEGABYTES * 16 * len(BLOCK), time.perf_counter()
    while left:
        left -= len(await peer.reader.read(1 << 20))
    peer.cut()
    return MEGABYTES * 1.048576 / (time.perf_counter() - begun)


async def echo(host: str, port: int, key: str) -> float:
    """p50 in microseconds."""
    peer = await connect(host, port, key, "/cs_abc123")
    word, times = frame(TEXT, b"x", masked=True), []
    for _ in range(ECHOES):
        begun = time.perf_counter()
        peer.writer.write(word)
        await peer.reader.readexactly(len(word))
        times.append(time.perf_counter() - begun)
    peer.cut()
    return sorted(times)[ECHOES // 2] * 1e6


@contextlib.contextmanager
def process(role: str, address: str) -> Iterator[subprocess.Popen[str]]:
    """One of the others; its first line says that it is ready."""
    words = [sys.executable, "-m", "bench.gateway", role, address]
    running = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline()


def used(running: subprocess.Popen[str]) -> dict[str, float]:
    """CPU seconds and largest RSS in KiB."""
    assert running.stdin is not None
    running.stdin.write("\n")
    running.stdin.flush()
    found: dict[str, float] = json.loads(line(running))
    return found


def main() -> None:
    """Print the figures."""
    address = own_address()
    with process("terminal", address) as printing, process("gateway", address) as passing:
        assert line(printing) == "ready\n"
        found: dict[str, Any] = json.loads(line(passing))
        direct, through = (address, PTY_PORT, ""), ("127.0.0.1", int(found["port"]), str(found["key"]))
        idle = used(passing)
        rates = [(uvloop.run(rate(*direct)), uvloop.run(rate(*through))) for _ in range(ROUNDS)]
        busy = used(passing)
        echoes = [(uvloop.run(echo(*direct)), uvloop.run(echo(*through))) for _ in range(ROUNDS)]
    best = [max(side) for side in zip(*rates, strict=True)]
    least = [min(side) for side in zip(*echoes, strict=True)]
    cpu = (busy["cpu"] - idle["cpu"]) / (ROUNDS * MEGABYTES) * 1000
    print(f"bytes: direct {best[0]:.0f} MB/s, through the gateway {best[1]:.0f} MB/s, {cpu:.2f} ms CPU a MiB")
    print(f"echo p50: direct {least[0]:.0f} us, through the gateway {least[1]:.0f} us")
    print(f"gateway RSS: idle {idle['rss'] / 1024:.0f} MiB, at most {busy['rss'] / 1024:.0f} MiB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["terminal", address]:
            uvloop.run(terminal(address))
        case ["gateway", address]:
            uvloop.run(gateway(address))
        case _:
            main()
