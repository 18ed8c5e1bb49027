"""Has the steps run by another container, which runs the user's code and therefore holds no secret.

The two share the application's folder and an exchange folder. A script and a FIFO go there; from there come the
output, by the FIFO, and the exit code, in a file. Nothing of it is believed further than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SCRIPT, OUTPUT, STATUS = "steps.sh", "output", "status"
WAIT = f"until [ -f {SCRIPT} ]; do sleep 0.05; done; exec /bin/sh ./{SCRIPT}"
"""What the runner's container runs, in the exchange folder."""
LOST_SECONDS = 5.0
START_SECONDS = 120.0
LINE = 8 << 10
KILLED = 137
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
"""What names the platform's certificates to the steps."""


class Runner:
    """One exchange folder."""

    def __init__(self, exchange: Path, app_dir: str) -> None:
        self._exchange, self._app_dir = exchange, app_dir
        self.told = False

    def release(self) -> None:
        """Let the runner go, if it was given nothing to do."""
        if not self.told:
            self._tell("exit 0\n")

    async def run(self, steps: Sequence[str], env: Mapping[str, str], say: Callable[[str], None]) -> int:
        """The exit code of the first step that fails, or 0; its output goes to `say` line by line."""
        fifo = self._exchange / OUTPUT
        os.mkfifo(fifo)
        reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._tell(script(steps, env, self._app_dir))
            return await self._follow(reading, say)
        finally:
            os.close(reading)

    async def _follow(self, reading: int, say: Callable[[str], None]) -> int:
        loop, waiting = asyncio.get_running_loop(), b""
        begun, quiet, heard = loop.time(), 0.0, False
        while True:
            data = _read(reading)
            if data:
                heard, quiet = True, 0.0
                *lines, waiting = (waiting + data).split(b"\n")
                for line in lines:
                    say(line[:LINE].decode("utf-8", "replace"))
                if len(waiting) > LINE:
                    say(waiting.decode("utf-8", "replace"))
                    waiting = b""
                continue
            code = self._status()
            if code is None and data is not None:  # nobody has it open for writing
                quiet = quiet or loop.time()
                late = loop.time() - quiet > LOST_SECONDS if heard else loop.time() - begun > START_SECONDS
                code = KILLED if late else None
            if code is not None and not (more := _read(reading)):
                if waiting or more:
                    say(waiting.decode("utf-8", "replace"))
                return code
            await asyncio.sleep(0.02)

    def _status(self) -> int | None:
        try:
            file = os.open(self._exchange / STATUS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        with os.fdopen(file, "rb") as content:
            text = content.read(16).strip() if stat.S_ISREG(os.fstat(file).st_mode) else b""
        return int(text) if text.isdigit() and len(text) <= 3 else KILLED

    def _tell(self, text: str) -> None:
        partial = self._exchange / f"{SCRIPT}.partial"
        partial.write_text(text)
        partial.rename(self._exchange / SCRIPT)
        self.told = True


def _read(reading: int) -> bytes | None:
    """What came; empty: no writer; None: nothing yet."""
    with contextlib.suppress(BlockingIOError):
        return os.read(reading, 65536)
    return None


def script(steps: Sequence[str], env: Mapping[str, str], app_dir: str) -> str:
    """The steps as a script: each is shown, the first that fails ends it."""
    lines = ["set -u", f"exchange=$PWD; cd {shlex.quote(app_dir)}"]
    # A namespace need not have the platform's certificates.
    lines.append(f'[ -f "${{SSL_CERT_FILE:-/}}" ] || unset {" ".join(CA_VARIABLES)}')
    lines += [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    lines += ['mkdir -p "$HOME"', "(", "set -e"]
    for step in steps:
        lines += [f"printf '%s\\n' {shlex.quote('$ ' + step)}", step]
    # A step's background processes may keep the output open: what counts is the code.
    lines += [
        f') >"$exchange/{OUTPUT}" 2>&1 </dev/null',
        f'echo $? >"$exchange/{STATUS}.partial"',
        f'mv "$exchange/{STATUS}.partial" "$exchange/{STATUS}"',
    ]
    return "\n".join(lines) + "\n"
