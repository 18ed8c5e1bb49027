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


def remove() -> None:
    """Kill what still runs in the groups, then delete them, deepest first."""
    for hierarchy in _hierarchies():
        top = hierarchy / CGROUP
        if not top.exists():
            continue
        deadline = time.monotonic() + 5
        while top.exists() and time.monotonic() < deadline:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    for pid in (Path(folder) / "cgroup.procs").read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            time.sleep(0.02)
