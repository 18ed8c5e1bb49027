"""Says what a machine lacks before anything is started."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import Layout
from codesessions_dev.shell import run

PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "gcc": "gcc",
    "make": "make",
    "pkg-config": "pkg-config",
    "sysctl": "procps",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
}
FILES = {"/usr/include/seccomp.h": "libseccomp-dev", "/usr/include/stdlib.h": "libc6-dev"}
MEMORY_GIB = 4
DISK_GIB = 15


def missing_packages() -> list[str]:
    """Debian packages that are needed and not there."""
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [package for program, package in PACKAGES.items() if not shutil.which(program, path=search)]
    return absent + [package for file, package in FILES.items() if not Path(file).exists()]


def install_packages() -> None:
    """Install what is missing with apt-get, where there is one. Raises DevError."""
    absent = missing_packages()
    if not absent:
        return
    if not shutil.which("apt-get"):
        raise say.DevError(f"these Debian packages (or your system's own of the kind) are missing: {' '.join(absent)}")
    with say.step(f"install {' '.join(absent)}"):
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-q"], env=env)
        run(["apt-get", "install", "-qy", "--no-install-recommends", *absent], env=env)


def check_machine(layout: Layout) -> None:
    """Root, memory, disk, overlayfs. Raises DevError that names all that is wrong."""
    wrong = []
    if os.geteuid() != 0:
        wrong.append("it needs root: containers, mounts and a network namespace are made (run it with sudo)")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < MEMORY_GIB:
        wrong.append(f"it needs {MEMORY_GIB} GiB of memory, this machine has {memory:.1f}")
    free = shutil.disk_usage("/var/lib").free / 2**30
    if free < DISK_GIB and not layout.state.exists():
        wrong.append(f"it needs {DISK_GIB} GiB free under /var/lib, there are {free:.1f}")
    if "overlay" not in Path("/proc/filesystems").read_text():
        run(["modprobe", "overlay"], check=False)
        if "overlay" not in Path("/proc/filesystems").read_text():
            wrong.append("the kernel has no overlay file system (modprobe overlay)")
    if wrong:
        raise say.DevError("the local cluster cannot run here:\n" + "\n".join(f"  - {reason}" for reason in wrong))


def check_ports(layout: Layout) -> None:
    """Every port that is forwarded must be free. Raises DevError that names the variable to set."""
    taken = []
    for name, port in vars(layout.ports).items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(f"port {port} of 127.0.0.1 is taken; set CODESESSIONS_DEV_{name.upper()}_PORT to another")
    if taken:
        raise say.DevError("\n".join(taken))
