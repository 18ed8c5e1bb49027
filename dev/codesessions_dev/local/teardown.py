"""What a container runtime leaves behind when it is stopped, found by what it points at and taken away."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

from codesessions_dev.layout import Layout
from codesessions_dev.shell import run


def _processes() -> list[tuple[int, str]]:
    """Process ids and command lines of all processes (proc_pid_cmdline(5))."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found.append(
                    (
                        int(folder.name),
                        (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
                    )
                )
    return found


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


def _remove_if_empty(*folders: str) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def remove_fixed_paths(layout: Layout) -> None:
    """Remove what kubelet, containerd and the CNI plugins keep at paths that no setting moves.

    Another container runtime may use the same folders, so only what is ours or dead goes, and folders only when empty.
    """
    links = Path("/var/log/containers")
    for link in links.iterdir() if links.is_dir() else ():
        if link.is_symlink() and str(layout.state) in str(link.readlink()):
            link.unlink()
    for pattern in (f"{layout.name}-*", "cni-loopback-*-lo"):
        for result in Path("/var/lib/cni/results").glob(pattern):
            result.unlink()
    for stale in (*Path("/run/containerd/s").glob("*"), Path("/var/lib/kubelet/device-plugins/kubelet.sock")):
        if stale.is_socket() and not _answers(stale):
            stale.unlink()
    _remove_if_empty(
        "/var/log/containers",
        "/var/lib/cni/results",
        "/var/lib/cni",
        "/run/containerd/s",
        "/run/containerd",
        "/var/lib/kubelet/device-plugins",
        "/var/lib/kubelet",
    )
