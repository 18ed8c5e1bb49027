"""What the sidecar's two folders say about who else is, or was, at work."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class FolderBusyError(Exception):
    """Another sidecar writes to the folder."""


def lock(folder: Path, *, seconds: float) -> int:
    """Be the only sidecar that writes to `folder` (flock(2): let go by the kernel when the process ends).

    Waits, because a predecessor may be on its way out. Returns the descriptor. Raises FolderBusyError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise FolderBusyError(f"another sidecar has been writing to {folder} for {seconds:.0f} s") from error
            time.sleep(0.01)
        else:
            return descriptor


def pod_instance(run_dir: Path) -> int:
    """A random number, below 2^63 and not 0, that stays the same for as long as the pod (and its `run_dir`) lives."""
    path = run_dir / "instance"
    try:
        found = int(path.read_text())
    except (FileNotFoundError, ValueError):
        found = 0
    if 0 < found < 1 << 63:
        return found
    made = int.from_bytes(os.urandom(8), "little") >> 1 | 1
    fresh = path.with_name("instance.new")
    fresh.write_text(str(made))
    fresh.rename(path)
    return made
