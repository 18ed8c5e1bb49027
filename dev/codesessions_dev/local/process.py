"""Daemons: started as orphans, known by pid and start time, stopped by pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codesessions_dev.layout import Layout
from codesessions_dev.say import DevError


@dataclass(frozen=True)
class Daemon:
    """What to run. `host_netns_fd` passes this machine's network namespace as descriptor 9; `outside` runs it there."""

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    host_netns_fd: bool = False
    outside: bool = False


def _start_time(pid: int) -> str | None:
    """When a process began, in clock ticks since boot (proc_pid_stat(5), field 22); None for none or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


class Supervisor:
    """Starts and stops daemons inside the cluster's network namespace and remembers them in files."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folder = layout.run / "pid"

    def pid(self, name: str) -> int | None:
        """The process id of a daemon that is alive, else None (also if another process has its number by now)."""
        try:
            pid_text, begun = (self._folder / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid_text) if _start_time(int(pid_text)) == begun else None

    def known(self) -> list[str]:
        """Names of all daemons ever started and not stopped, oldest first."""
        if not self._folder.exists():
            return []
        files = [file for file in self._folder.iterdir() if not file.name.endswith(".new")]
        return [file.name for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]

    def forget_dead(self) -> None:
        """Drop the memory of daemons that have ended, so that they can be started anew."""
        for name in self.known():
            if self.pid(name) is None:
                (self._folder / name).unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"

    def start(self, daemon: Daemon) -> bool:
        """Start a daemon unless it runs; true if it was started.

        It is orphaned at birth, in a session of its own: some daemons (Envoy) die with the process that started them.
        """
        if self.pid(daemon.name) is not None:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f"{daemon.name}.new"
        fresh.unlink(missing_ok=True)
        argv = [str(word) for word in daemon.argv]
        enter = argv if daemon.outside else ["nsenter", f"--net={self._layout.netns}", "--", *argv]
        script = 'echo "$$" >"$0"; exec "$@"'
        descriptor = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            if daemon.host_netns_fd:
                script = f'echo "$$" >"$0"; exec 9<&{descriptor} "$@"'
            with self.log(daemon.name).open("a") as log:
                subprocess.run(
                    ["setsid", "--fork", "sh", "-c", script, str(fresh), *enter],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **daemon.env},
                    pass_fds=[descriptor] if daemon.host_netns_fd else [],
                    check=True,
                )
        finally:
            os.close(descriptor)
        self._remember(daemon.name, fresh)
        return True

    def _remember(self, name: str, fresh: Path) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                text = fresh.read_text().strip()
                begun = _start_time(int(text)) if text else None
                if text and begun is None:
                    raise DevError(f"{name} ended at once; its log: {self.log(name)}")
                if begun is not None:
                    fresh.write_text(f"{text} {begun}\n")
                    fresh.rename(self._folder / name)
                    return
            time.sleep(0.005)
        raise DevError(f"{name} did not start within 10 s; its log: {self.log(name)}")

    def stop(self, name: str, *, grace: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds, to that very process and no other."""
        pid = self.pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while self.pid(name) is not None and time.monotonic() < deadline:
                time.sleep(0.02)
            while self.pid(name) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        (self._folder / name).unlink(missing_ok=True)
