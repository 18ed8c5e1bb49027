"""Run other programs, and wait for conditions."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from codesessions_dev.say import DevError


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its output as text.

    `env` is added to this process's own environment. A non-zero exit raises DevError with the last lines of output,
    unless `check` is false.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DevError(f"{words[0]} is not installed") from error
    if check and done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise DevError(f"`{' '.join(words)}` failed with exit code {done.returncode}:\n{tail}")
    return done


def output(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """The standard output of a program, stripped."""
    return run(argv, env=env, cwd=cwd).stdout.strip()


def wait_until(what: str, condition: Callable[[], bool], *, seconds: float, hint: str = "") -> None:
    """Poll `condition` until it holds; DevError after `seconds`, with `hint` for the person who has to look."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    while not condition():
        if time.monotonic() > deadline:
            raise DevError(f"waited {seconds:.0f} s in vain: {what}{'. ' + hint if hint else ''}")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.5)
