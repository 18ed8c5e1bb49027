"""What a container runtime leaves behind when it is stopped, found by what it points at and taken away."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from codesessions_dev.layout import Layout
from codesessions_dev.local.configs import CGROUP
from codesessions_dev.shell import run


def _processes() -> list[tuple[int, str]]:
    """Process ids and command lines of all processes (proc_pid_cmdline(5))."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found.append((int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
    return found


def stop_containers(layout: Layout) -> None:
    """Kill every process inside the cluster's control groups, which are its containers and nothing else."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        alive = False
        for procs in Path("/sys/fs/cgroup").glob(f"**/{CGROUP}/**/cgroup.procs"):
            with contextlib.suppress(OSError):
                for pid in procs.read_text().split():
                    alive = True
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        if not alive:
            return
        time.sleep(0.05)


def kill_shims(layout: Layout) -> None:
    """End the shims that belong to this cluster's containerd socket."""
    for pid, command in _processes():
        if "containerd-shim" in command and str(layout.containerd_socket) in command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def unmount(layout: Layout) -> None:
    """Unmount, lazily and deepest first, whatever is mounted below the cluster's folders."""
    roots = (str(layout.state), str(layout.run))
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(roots)), key=len, reverse=True):
        run(["umount", "--lazy", point.replace("\\040", " ")], check=False)


def remove_log_links(layout: Layout) -> None:
    """The kubelet links container logs under /var/log/containers; remove the links that pointed into this cluster."""
    folder = Path("/var/log/containers")
    if not folder.is_dir():
        return
    for link in folder.iterdir():
        if link.is_symlink() and str(layout.state) in str(link.readlink()):
            link.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
