"""Starts the archive's process, gives it the connection, and waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from codesessions_sidecar.archive.limits import Limits
from codesessions_sidecar.log import log

DEADLINE_SECONDS = 900.0
_PLACE = str(Path(__file__).resolve().parents[2])
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from codesessions_sidecar.archive.program import main; sys.exit(main(sys.argv[2:]))"
)
"""Run so that neither the environment nor `site` (2 MiB) has a part in it."""
_MAX_REPORT = 4096


@dataclass(frozen=True)
class Outcome:
    """`done` with three counts as words, or `refused` (nothing was sent) or `broken`, with a code and a text."""

    word: str
    words: tuple[str, ...]


async def archive(root: Path, limits: Limits, connection: int | None) -> Outcome:
    """Send an archive of `root` as an HTTP answer through `connection`; None: only see whether that could be done."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            child = _spawn(root, limits, connection, writing)
        finally:
            os.close(writing)
        await _wait(child)
        report = b""
        with contextlib.suppress(BlockingIOError):
            report = os.read(reading, _MAX_REPORT)
    finally:
        os.close(reading)
    word, *words = report.decode().rstrip("\n").split("\t")
    outcome = Outcome(word or "broken", tuple(words) or ("failed", "the archive's process died"))
    log("archive", outcome=outcome.word, what=" ".join(outcome.words))
    return outcome


def _spawn(root: Path, limits: Limits, connection: int | None, report: int) -> int:
    numbers = [str(number) for number in (limits.entries, limits.file, limits.total)]
    mode = "check" if connection is None else "send"
    actions: list[tuple[int, int, str, int, int] | tuple[int, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    ]
    if connection is not None:
        actions.append((os.POSIX_SPAWN_DUP2, connection, 1))
    actions.append((os.POSIX_SPAWN_DUP2, report, 3))
    words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _CODE, _PLACE, str(root), mode, *numbers]
    return os.posix_spawn(sys.executable, words, {"PATH": os.defpath}, file_actions=actions)


async def _wait(child: int) -> None:
    """Until it has ended; killed at the deadline, or when nobody waits any more."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    descriptor = os.pidfd_open(child)

    def on_end() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, on_end)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await ended
    except TimeoutError:
        log("archive-too-slow", seconds=DEADLINE_SECONDS)
    finally:
        loop.remove_reader(descriptor)
        if not ended.done() or ended.cancelled():
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
        os.waitpid(child, 0)  # noqa: ASYNC222 - it has ended, or is about to
