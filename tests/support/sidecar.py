"""The real launcher and the real sidecar, as two processes, on a real pty; no Kubernetes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "sidecar" / "launcher" / "build" / "codesessions-launcher"
KEY = bytes(range(32))
SESSION_ID, SESSION_UID = "cs_test", "uid-1"


def until(what: str, probe: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Probe until something true comes, and return it; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")
        time.sleep(0.005)
    return found


def ticket(*, key: bytes = KEY, expires: float | None = None, **changes: object) -> str:
    """A ticket for this session; `changes` replace parts of its payload."""
    moment = time.time() + 600 if expires is None else expires
    payload = {
        "sid": SESSION_ID,
        "uid": SESSION_UID,
        "scope": ["read", "write"],
        "exp": int(moment),
        "usr": "u",
        **changes,
    }
    body = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.new(key, body, hashlib.sha256).digest()).rstrip(b"=")
    return f"{body.decode()}.{signature.decode()}"


class Rig:
    """A launcher and a sidecar that share a folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.run_dir, self.data_dir = folder / "run", folder / "data"
        self.run_dir.mkdir(exist_ok=True)
        (folder / "key").write_text(KEY.hex())
        self.termination_log = folder / "termination-log"
        self.termination_log.touch()
        self._environment = {
            **os.environ,
            "CODESESSIONS_RUN_DIR": str(self.run_dir),
            "CODESESSIONS_DATA_DIR": str(self.data_dir),
            "CODESESSIONS_KEY_FILE": str(folder / "key"),
            "CODESESSIONS_SESSION_ID": SESSION_ID,
            "CODESESSIONS_SESSION_UID": SESSION_UID,
            "CODESESSIONS_TERMINATION_LOG": str(self.termination_log),
            "CODESESSIONS_HOST": "127.0.0.1",
            "CODESESSIONS_PORT": "0",
            "CODESESSIONS_LINGER_SECONDS": "0",
            "HISTFILE": "",
            **environment,
        }
        self.launcher: subprocess.Popen[bytes] | None = None
        self.sidecar: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._starts = 0
        self.token = ticket()

    # -- processes

    def start_launcher(self, *argv: str) -> None:
        """Start a shell under the launcher; without words its own choice of shell."""
        words = [str(LAUNCHER), *(["--", *argv] if argv else [])]
        log = (self.folder / "launcher.log").open("ab")
        self.launcher = subprocess.Popen(
            words, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        log.close()

    def start_sidecar(self) -> None:
        """Start the sidecar and wait until it listens."""
        self._starts += 1
        path = self.folder / f"sidecar-{self._starts}.log"
        with path.open("wb") as log:
            self.sidecar = subprocess.Popen(
                [sys.executable, "-m", "codesessions_sidecar"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        found = until("the sidecar listens", lambda: re.search(r'"port":(\d+)', path.read_text()))
        self.port = int(found[1])

    def kill_sidecar(self) -> None:
        """SIGKILL, at whatever it is doing."""
        assert self.sidecar is not None
        self.sidecar.kill()
        self.sidecar.wait()

    def stop(self) -> None:
        """End both."""
        for process in (self.sidecar, self.launcher):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if self.launcher is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.launcher.pid, signal.SIGKILL)

    # -- calls

    def call(
        self, method: str, path: str, body: bytes | None = None, *, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One request; status and JSON body."""
        connection = http.client.HTTPConnection(self._environment["CODESESSIONS_HOST"], self.port, timeout=70)
        try:
            headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
            kind = response.getheader("Content-Type", "")
            return response.status, json.loads(text) if "json" in kind else {"text": text.decode()}
        finally:
            connection.close()

    def type(self, text: str) -> None:
        status, answer = self.call("POST", "/v1/input", text.encode())
        assert status == 200, answer

    def page(self, after: int = 0, wait: int = 1) -> dict[str, Any]:
        status, answer = self.call("GET", f"/v1/output?after={after}&wait={wait}")
        assert status == 200, answer
        return answer

    def read_until(self, marker: str, after: int = 0, *, seconds: float = 60) -> tuple[str, int]:
        """Text from `after` until `marker`, and the number of the last chunk read."""
        text, deadline = "", time.monotonic() + seconds
        while marker not in text:
            assert time.monotonic() < deadline, f"{marker!r} did not come; the end of what came: {text[-500:]!r}"
            for chunk in self.page(after)["chunks"]:
                assert chunk["seq"] == after + 1, "a gap in the numbering"
                text, after = text + chunk["text"], chunk["seq"]
        return text, after

    def until_end(self, *, seconds: float = 120) -> dict[str, Any]:
        """As `until_exit`, for output of more than one page: only how the shell ended."""

        def ending() -> dict[str, Any] | None:
            found: dict[str, Any] | None = self.page((1 << 53) - 1, wait=1)["exit"]
            return found

        found: dict[str, Any] = until("the shell ends", ending, seconds=seconds)
        return found

    def until_exit(self, *, seconds: float = 60) -> dict[str, Any]:
        """The page that says how the shell ended, with all output before it."""
        deadline = time.monotonic() + seconds
        while (page := self.page(0, wait=1))["exit"] is None or (
            page["chunks"] and page["chunks"][-1]["seq"] < page["lastSeq"]
        ):
            assert time.monotonic() < deadline, f"no exit: {page}"
            if page["exit"] is None and page["chunks"]:
                self.page(page["lastSeq"], wait=1)
        return page
