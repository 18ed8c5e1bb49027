"""How long the tests of faults are: short in CI, in full with CODESESSIONS_FAULTS=full (`make faults`)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codesessions_dev.shell import wait_until

FULL = os.environ.get("CODESESSIONS_FAULTS") == "full"


def scaled(short: int, full: int) -> int:
    """A count for this run."""
    return full if FULL else short


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does not run, with its connections open: the hardest kind of silence."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # The signal is on its way to every thread; on a busy machine some of them answer a little longer.
        wait_until("the process runs on", lambda: all(_is_stopped(each) for each in _threads(pid)), seconds=60)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _threads(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def _is_stopped(thread: Path) -> bool:
    """By proc_pid_stat(5): the state comes behind the name in brackets."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return True
