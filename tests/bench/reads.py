"""`GET /code-sessions/:id` on one worker: the real API process on a real watch cache, beside a bare application.

The yardstick is a bare uvicorn and FastAPI application that returns the same JSON. Both are loaded in turn, in one
run, by the same small client in a process of its own. Needs no cluster: etcd and API server are its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import uvloop
from bench.figures import percentile
from codesessions_crds.credentials import new_api_key
from codesessions_crds.generate import FOLDERS
from support.controlplane import ControlPlane, free_port
from support.kubectl import Kubectl
from support.session import until

SECONDS = 4.0
ROUNDS = 3
CONNECTIONS = 16
SESSIONS = 200
TARGET = 1500
PATH = "/api/v1/code-sessions/cs_bench7"


class Load(asyncio.Protocol):
    """One kept-alive connection with one request on its way at a time; notes how long each took."""

    def __init__(self, request: bytes, until: float, taken: list[float]) -> None:
        self._request, self._until, self._taken = request, until, taken
        self._answer, self._length, self._sent = b"", 0, 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._answer, self._length, self._sent = b"", 0, time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._length and b"\r\n\r\n" in self._answer:
            head = self._answer.partition(b"\r\n\r\n")[0]
            assert head.startswith(b"HTTP/1.1 200 "), self._answer
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self._length = len(head) + 4 + size
        if self._length and len(self._answer) >= self._length:
            now = time.perf_counter()
            self._taken.append(now - self._sent)
            if now < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, key: str, connections: int) -> dict[str, float]:
    """Ask as fast as answers come; requests a second, and percentiles in seconds."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nAccept: */*\r\n\r\n".encode()
    taken: list[float] = []
    begun, loop = time.perf_counter(), asyncio.get_running_loop()
    makes = [
        loop.create_connection(lambda: Load(request, begun + SECONDS, taken), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.gather(*[protocol.done for _, protocol in await asyncio.gather(*makes)])
    rate = len(taken) / (time.perf_counter() - begun)
    return {"rate": rate, "p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99)}


def bare(port: int, document: dict[str, Any]) -> None:
    """The yardstick."""
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/api/v1/code-sessions/{session}")
    async def read(session: str) -> dict[str, Any]:
        return document

    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="error")


def fill(kubectl: Kubectl) -> str:
    """An organisation with sessions that run; returns a key."""
    api, key = "codesessions.dev/v1alpha1", new_api_key()
    label = {"codesessions.dev/organization": "org_demo"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo", "labels": label}})
    spec = {"hash": key.hash, "scopes": ["code-sessions:read"], "userId": "bench"}
    metadata = {"name": f"csk-{key.id}", "namespace": "demo"}
    kubectl.apply({"apiVersion": api, "kind": "APIKey", "metadata": metadata, "spec": spec})
    sessions = [
        {
            "apiVersion": api,
            "kind": "CodeSession",
            "metadata": {"name": f"cs-bench{number}", "namespace": "demo"},
            "spec": {"projectName": f"project {number}", "projectDescription": "for the benchmark", "userId": "bench"},
        }
        for number in range(SESSIONS)
    ]
    kubectl.apply(*sessions)
    moment, name = "2026-01-01T00:00:00Z", "cs-bench7"
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Running",
        "message": "The shell runs.",
        "observedGeneration": 1,
    }
    status = {
        "phase": "Running",
        "workspaceId": "ws_bench7",
        "ptyEndpoint": "https://pty.example.com/cs_bench7",
        "startedAt": moment,
        "updatedAt": moment,
        "conditions": [{**ready, "lastTransitionTime": moment}],
    }
    patch = json.dumps({"status": status})
    kubectl("patch", "codesession", name, "--subresource=status", "--type=merge", "-p", patch)
    return key.text


@contextlib.contextmanager
def process(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that is ended at the end."""
    running = subprocess.Popen([sys.executable, *words], env={**os.environ, **environment}, stderr=subprocess.PIPE)
    try:
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=30)


def ask(port: int, key: str, path: str = PATH) -> tuple[int, bytes]:
    """One request; 0 while nobody answers."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"X-API-Key": key})
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def measured(port: int, key: str, connections: int) -> dict[str, float]:
    """A round of load, from a process of its own."""
    words = [sys.executable, "-m", "bench.reads", "load", str(port), key, str(connections)]
    done = subprocess.run(words, check=True, capture_output=True, timeout=5 * SECONDS)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(ours: int, yardstick: int, key: str) -> None:
    """Load both in turn and print the figures of each one's best round."""
    for connections in (1, CONNECTIONS):
        rounds = [(measured(ours, key, connections), measured(yardstick, key, connections)) for _ in range(ROUNDS)]
        best, bare_best = (max(side, key=lambda each: each["rate"]) for side in zip(*rounds, strict=True))
        for name, each in (("GET /code-sessions/:id", best), ("bare uvicorn + FastAPI", bare_best)):
            times = f"p50 {each['p50'] * 1000:.2f}, p99 {each['p99'] * 1000:.2f} ms"
            print(f"{name}, {connections} connection(s), one worker: {each['rate']:.0f} requests/s, {times}")
        target = f" (target: at least {TARGET} requests/s)" if connections > 1 else ""
        print(f"  ratio to bare: {best['rate'] / bare_best['rate']:.2f}{target}")


def main() -> None:
    """Print the figures."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        plane, ports = ControlPlane(folder), (free_port(), free_port())
        (folder / "master-key").write_bytes(b"k" * 32)
        try:
            plane.start()
            kubectl = plane.kubectl()
            kubectl("apply", "-f", str(FOLDERS[0]))
            kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
            key = fill(plane.kubectl("demo"))
            settings = {
                "KUBECONFIG": str(plane.kubeconfig),
                "CODESESSIONS_LISTEN": f"127.0.0.1:{ports[0]}",
                "CODESESSIONS_MASTER_KEY_FILE": str(folder / "master-key"),
                "CODESESSIONS_RATE_READS": "1000000/1",  # counted, and never reached
            }
            with process("-m", "codesessions_api", **settings):
                until("the API answers", lambda: ask(ports[0], key)[0] == 200, seconds=30)
                (folder / "answer.json").write_bytes(ask(ports[0], key)[1])
                with process("-m", "bench.reads", "bare", str(ports[1]), str(folder / "answer.json")):
                    until("the yardstick answers", lambda: ask(ports[1], key)[0] == 200, seconds=30)
                    assert json.loads(ask(ports[1], key)[1]) == json.loads(ask(ports[0], key)[1])
                    compare(*ports, key)
        finally:
            plane.stop()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["load", port, key, connections]:
            print(json.dumps(uvloop.run(load(int(port), key, int(connections)))))
        case ["bare", port, path]:
            bare(int(port), json.loads(Path(path).read_text()))
        case _:
            main()
