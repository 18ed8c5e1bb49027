"""Root file systems made on the spot, and the two images a cluster cannot be without: sandbox and a small Debian."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import cache_root
from codesessions_dev.local.configs import BASE_IMAGE, PAUSE_IMAGE
from codesessions_dev.local.oci import write_archive
from codesessions_dev.shell import run

SUITE = "bookworm"
ROOTFS = {
    "base": ("ca-certificates", "python3", "python3-pip"),
    "buildah": ("buildah", "ca-certificates", "uidmap"),
    "compiler": ("gcc", "libc6-dev", "make"),
    "runtime": ("ca-certificates", "lighttpd", "python-is-python3", "python3", "python3-pip"),
    "workspace": (
        *("bash", "bash-completion", "ca-certificates", "curl", "git", "less", "nano", "nodejs", "procps", "python3"),
        *("python3-pip", "python3-venv", "ripgrep", "tmux", "vim-tiny"),
    ),
}
"""Packages of each root file system."""


def rootfs(name: str) -> Path:
    """A Debian root file system as a tar file, made once by mmdebstrap(1). Raises DevError."""
    target = cache_root() / "rootfs" / f"{SUITE}-{name}.tar"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.tar")
    with say.step(f"make a Debian {SUITE} root file system ({name})"):
        slim = [
            f"--dpkgopt=path-exclude={path}" for path in ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
        ]
        run(["mmdebstrap", "--variant=minbase", f"--include={','.join(ROOTFS[name])}", *slim, SUITE, partial])
    partial.rename(target)
    return target


def all_rootfs() -> None:
    """Make what is missing of all of them. Raises DevError."""
    for name in ROOTFS:
        rootfs(name)


def pause_archive() -> Path:
    """The sandbox image, compiled here."""
    folder = cache_root() / "images"
    target = folder / "pause.tar"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "pause"
    run(["gcc", "-static", "-Os", "-s", "-o", program, Path(__file__).with_name("pause.c")])
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tarfile.TarInfo("pause")
        info.mode, info.size = 0o755, program.stat().st_size
        with program.open("rb") as content:
            tar.addfile(info, content)
    write_archive(target, PAUSE_IMAGE, layer.getvalue(), ["/pause"])
    return target


def base_archive() -> Path:
    """The small Debian with Python, the base of this project's images."""
    target = cache_root() / "images" / f"base-{SUITE}.tar"
    if not target.exists():
        tar = rootfs("base")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_archive(target, BASE_IMAGE, tar.read_bytes())
    return target
