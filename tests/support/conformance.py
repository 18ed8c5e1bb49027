"""A terminal that is held to docs/terminal.md: REST, WebSockets and nothing else of it is known.

By default the real launcher and sidecar on loopback; with CODESESSIONS_CONFORMANCE=ingress sessions of the development
cluster, through its ingress.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from codesessions_dev.client import Client

from support.cluster import known_access
from support.kubectl import Kubectl
from support.session import Sessions
from support.sidecar import LAUNCHER, Rig

Object = dict[str, Any]
SMALL_RING = 512 << 10


class Rest(Protocol):
    """The calls of a terminal, wherever it is."""

    def input(self, text: str, input_seq: int | None = None) -> tuple[int, Object]:
        """Type; status and body. Raises OSError if the answer is lost."""

    def output(self, after: int, *, wait: int = 0, raw: bool = False) -> Object:
        """A page of output."""

    def resize(self, rows: int, columns: int) -> None:
        """Set the size."""


@dataclass
class Terminal:
    """One session with a script in it. `begin`: the chunk after which the script's output begins."""

    rest: Rest
    url: str
    headers: dict[str, str]
    begin: int = 0
    ring: int = 32 << 20
    tls: ssl.SSLContext | None = None
    ca: Path | None = None
    rig: Rig | None = None
    seen: int = field(init=False)

    def __post_init__(self) -> None:
        self.seen = self.begin

    def ticket(self) -> str:
        """For who cannot send the headers: got by them."""
        url = self.url.replace("wss:", "https:", 1) + "/ticket"
        request = urllib.request.Request(url, method="POST", headers=self.headers)  # noqa: S310
        with urllib.request.urlopen(request, context=self.tls, timeout=60) as response:  # noqa: S310
            found: str = json.load(response)["ticket"]
        return found

    def type(self, text: str, input_seq: int | None = None) -> None:
        """Type what must be taken."""
        status, answer = self.rest.input(text, input_seq)
        assert status == 200, answer

    def read_until(self, marker: str, *, seconds: float = 60) -> str:
        """Text from where the last call stopped, until `marker`."""
        text, deadline = "", time.monotonic() + seconds
        while marker not in text:
            assert time.monotonic() < deadline, f"{marker!r} did not come; the end of what came: {text[-500:]!r}"
            for chunk in self.rest.output(self.seen, wait=1)["chunks"]:
                assert chunk["seq"] == self.seen + 1, "a gap in the numbering"
                text, self.seen = text + chunk["text"], chunk["seq"]
        return text

    def all_chunks(self) -> list[Object]:
        """Every chunk of the script so far, by as many calls as it takes."""
        found: list[Object] = []
        while True:
            page = self.rest.output(found[-1]["seq"] if found else self.begin)
            assert not page["truncated"]
            if not page["chunks"]:
                return found
            found += page["chunks"]

    def until_exit(self, *, seconds: float = 60) -> Object:
        """How the shell ended, once it has."""
        deadline, after = time.monotonic() + seconds, self.begin
        while True:
            page = self.rest.output(after, wait=1)
            after = page["chunks"][-1]["seq"] if page["chunks"] else after
            if page["exit"] is not None and after == page["lastSeq"]:
                found: Object = page["exit"]
                return found
            assert time.monotonic() < deadline, "it does not end"


Start = Callable[..., Terminal]


class Loopback:
    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def input(self, text: str, input_seq: int | None = None) -> tuple[int, Object]:
        query = "" if input_seq is None else f"?inputSeq={input_seq}"
        return self._rig.call("POST", f"/v1/input{query}", text.encode())

    def output(self, after: int, *, wait: int = 0, raw: bool = False) -> Object:
        path = f"/v1/output?after={after}&wait={wait}{'&raw=base64' if raw else ''}"
        status, answer = self._rig.call("GET", path)
        assert status == 200, answer
        return answer

    def resize(self, rows: int, columns: int) -> None:
        status, answer = self._rig.call("POST", "/v1/resize", json.dumps({"rows": rows, "cols": columns}).encode())
        assert status == 204, answer


class _Ingress:
    def __init__(self, client: Client, path: str) -> None:
        self._client, self._path = client, path

    def input(self, text: str, input_seq: int | None = None) -> tuple[int, Object]:
        body = {"text": text, **({} if input_seq is None else {"inputSeq": input_seq})}
        return self._client.call("POST", f"{self._path}/input", body)

    def output(self, after: int, *, wait: int = 0, raw: bool = False) -> Object:
        query = f"afterSeq={after}{'&raw=base64' if raw else ''}"
        return self._client.must("GET", f"{self._path}/output?{query}", prefer=f"wait={wait}" if wait else None)

    def resize(self, rows: int, columns: int) -> None:
        self._client.must("POST", f"{self._path}/resize", {"rows": rows, "cols": columns})


@contextlib.contextmanager
def loopback(folder: Path) -> Iterator[Start]:
    """Launcher and sidecar as processes, a folder for each session."""
    assert LAUNCHER.exists(), "run `make launcher` first"
    rigs: list[Rig] = []

    def start(script: str, *, small: bool = False, shell: tuple[str, ...] = ("/bin/sh", "-c")) -> Terminal:
        home = folder / str(len(rigs))
        home.mkdir()
        environment = {"CODESESSIONS_SPOOL_BYTES": str(SMALL_RING)} if small else {}
        rig = Rig(home, CODESESSIONS_LINGER_SECONDS="60", PS1="ready> ", **environment)
        rigs.append(rig)
        rig.start_sidecar()
        rig.start_launcher(*shell, script)
        return Terminal(
            Loopback(rig),
            f"ws://127.0.0.1:{rig.port}/v1/attach",
            {"Authorization": f"Bearer {rig.token}"},
            ring=SMALL_RING if small else 32 << 20,
            rig=rig,
        )

    try:
        yield start
    finally:
        for rig in rigs:
            rig.stop()


@contextlib.contextmanager
def ingress() -> Iterator[Start]:
    """Sessions of organisation `demo`; the script takes the place of the shell that a session begins with."""
    access = known_access()
    client = Client(access)
    sessions = Sessions(client, Kubectl(access.kubeconfig, "demo"))
    tls = ssl.create_default_context(cafile=str(access.ca))

    def start(script: str, *, small: bool = False, shell: tuple[str, ...] = ("/bin/sh", "-c")) -> Terminal:
        session = sessions.create("conformance")
        session.run("true")
        quoted = script.replace("'", "'\\''")
        # It waits for a line, so that nothing of it comes before it is known where it begins.
        begin = "stty -echo; echo taken''over; read -r line; stty echo; exec env -u line PS1='ready> '"
        session.type(f"{begin} {' '.join(shell)} '{quoted}'\n")
        session.read_until("takenover\r\n")
        session.type("\n")
        endpoint = session.get()["ptyEndpoint"].replace("https:", "wss:", 1)
        headers = {"X-API-Key": access.api_key}
        return Terminal(_Ingress(client, session.path), endpoint, headers, begin=session.seen, tls=tls, ca=access.ca)

    try:
        yield start
    finally:
        sessions.remove(wait=False)


def target(folder: Path) -> contextlib.AbstractContextManager[Start]:
    """Whatever the environment names."""
    return ingress() if os.environ.get("CODESESSIONS_CONFORMANCE") == "ingress" else loopback(folder)
