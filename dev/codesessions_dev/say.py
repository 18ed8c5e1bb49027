"""Progress for a person: what is being done, and how long it has taken."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class DevError(Exception):
    """Something a person must mend; the text says what and how."""


def line(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def elapsed(seconds: float) -> str:
    """`3.2 s`, `1 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


@contextmanager
def step(what: str, *, every: float = 15.0) -> Iterator[None]:
    """Print `what`, then its duration; every `every` seconds in between, that it still goes on."""
    line(f"  … {what}")
    begun = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            line(f"    still at it after {elapsed(time.monotonic() - begun)}: {what}")

    ticker = threading.Thread(target=beat, daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        line(f"  ✗ {what} (failed after {elapsed(time.monotonic() - begun)})")
        raise
    finally:
        done.set()
        ticker.join()
    line(f"  ✓ {what} ({elapsed(time.monotonic() - begun)})")


def complain(text: str) -> None:
    """Print an error on standard error."""
    print(text, file=sys.stderr, flush=True)
