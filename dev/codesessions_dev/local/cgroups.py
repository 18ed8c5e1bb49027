"""The control group below which every pod of the cluster runs, on cgroup v1 and v2 (cgroups(7))."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from codesessions_dev.local.configs import CGROUP

ROOT = Path("/sys/fs/cgroup")
V2_CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")


def _hierarchies() -> list[Path]:
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [folder for folder in ROOT.iterdir() if folder.is_dir() and not folder.is_symlink()]


def create() -> None:
    """Make the parent group in every hierarchy, with its controllers switched on (v2) or its cpus inherited (v1)."""
    for hierarchy in _hierarchies():
        if (hierarchy / "cgroup.controllers").exists():
            available = (hierarchy / "cgroup.controllers").read_text().split()
            for controller in set(V2_CONTROLLERS) & set(available):
                with contextlib.suppress(OSError):
                    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        group = hierarchy / CGROUP
        group.mkdir(exist_ok=True)
        for inherited in ("cpuset.cpus", "cpuset.mems"):
            mine, parent = group / inherited, hierarchy / inherited
            if mine.exists() and parent.exists() and not mine.read_text().strip():
                mine.write_text(parent.read_text())


def _groups() -> list[Path]:
    """Every group of the cluster in every hierarchy, deepest first."""
    return [Path(folder) for top in _hierarchies() for folder, _, _ in os.walk(top / CGROUP, topdown=False)]


def _kill() -> bool:
    """Send SIGKILL to every process in the groups; false if there was none."""
    found = False
    for group in _groups():
        with contextlib.suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                found = True
                os.kill(int(pid), signal.SIGKILL)
    return found


def kill_all(*, seconds: float = 5.0) -> None:
    """End every process in the cluster's groups, which are its containers and nothing else."""
    deadline = time.monotonic() + seconds
    while _kill() and time.monotonic() < deadline:
        time.sleep(0.02)


def remove() -> None:
    """Kill what still runs in the groups, then delete them."""
    deadline = time.monotonic() + 5
    while (groups := _groups()) and time.monotonic() < deadline:
        _kill()
        for group in groups:
            with contextlib.suppress(OSError):
                group.rmdir()
        time.sleep(0.01)
