"""Makes the root file system of a final image: what the Python here needs to run some packages, and nothing else.

`python3 minimal.py TARGET FOLDER...`, in a build stage of any Debian base. No shell, no package manager, no compiler
gets in. Beside the files goes what scanners and lawyers look for: a dpkg status of the packages the files are from
(`/var/lib/dpkg/status.d`, as in distroless images) and their copyright files.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

UNUSED = frozenset(
    {"__phello__", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages"}
    | {"test", "tests", "tkinter", "turtledemo", "venv", "_pyrepl", "curses", "dist-packages"}
)
"""Folders of the standard library that no service needs."""
UNUSED_MODULES = frozenset(
    {"_curses", "_curses_panel", "_dbm", "_gdbm", "_sqlite3", "_tkinter", "nis", "ossaudiodev", "readline"}
)
"""Extension modules likewise: their libraries stay out with them."""
FILES = (
    "/etc/ld.so.cache",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/debian_version",
    "/usr/lib/os-release",
    "/etc/os-release",
)
USERS = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n"
GROUP = "root:x:0:\nnonroot:x:65532:\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"


class Root:
    """The new root file system."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.sources: set[Path] = set()
        """Files it has, as they are called in the stage."""

    def place(self, path: Path) -> Path:
        return self._target / path.relative_to("/")

    def write(self, path: str, text: str) -> None:
        place = self.place(Path(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def folder(self, path: Path) -> None:
        """The folder that `path` really is, and the links on the way to it."""
        for each in (path, *path.parents[:-1]):
            link = self.place(each.parent.resolve() / each.name)
            if each.is_symlink() and not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(each.readlink())
        self.place(path.resolve()).mkdir(parents=True, exist_ok=True)

    def add(self, path: Path) -> None:
        """A file; of a link also what it leads to."""
        if path in self.sources:
            return
        self.sources.add(path)
        self.folder(path.parent)
        real = path.parent.resolve() / path.name
        place = self.place(real)
        if real.is_symlink():
            if not place.is_symlink():
                place.symlink_to(real.readlink())
            self.add(real.parent / real.readlink())
        elif not place.exists():
            shutil.copy2(real, place)
            self.sources.add(real)

    def tree(self, folder: Path) -> Iterator[Path]:
        """Add all files below a folder but those nobody needs; yields them."""
        for here, folders, files in os.walk(folder):
            folders[:] = sorted(set(folders) - UNUSED) if Path(here) == folder else sorted(folders)
            folders[:] = [name for name in folders if not name.startswith("config-")]
            for name in sorted(files):
                if not name.endswith(".a") and name.partition(".")[0] not in UNUSED_MODULES:
                    self.add(Path(here) / name)
                    yield Path(here) / name


def libraries(file: Path) -> set[Path]:
    """The shared libraries that a program or library is loaded with (ldd(1))."""
    answer = subprocess.run(["ldd", file], capture_output=True, text=True, check=False)
    return {Path(found) for found in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", answer.stdout, re.MULTILINE)}


def is_elf(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4) == b"\x7fELF"


def packages(files: Iterable[Path]) -> set[str]:
    """The Debian packages that files are from (dpkg-query(1)); files of no package are passed over."""
    names = sorted({str(form) for file in files for form in (file, _unmerged(file))})
    answer = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True, check=False)
    return {name.strip() for line in answer.stdout.splitlines() for name in line.partition(": ")[0].split(",")}


def _unmerged(file: Path) -> Path:
    """The name a file had before /lib was a link to /usr/lib: dpkg of Debian 12 knows it by that one."""
    text = str(file)
    return Path(text.removeprefix("/usr") if text.startswith(("/usr/lib", "/usr/bin")) else text)


def describe(root: Root, names: Iterable[str]) -> None:
    """What dpkg knows of the packages, and their terms."""
    for name in sorted(names):
        bare = name.partition(":")[0]
        status = subprocess.run(["dpkg-query", "--status", name], capture_output=True, text=True, check=True).stdout
        root.write(f"/var/lib/dpkg/status.d/{bare}", status)
        terms = Path(f"/usr/share/doc/{bare}/copyright")
        if terms.exists():
            root.add(terms)


def main() -> None:
    """Fill the target."""
    root, folders = Root(Path(sys.argv[1])), [Path(each) for each in sys.argv[2:]]
    stdlib = Path(sysconfig.get_path("stdlib"))
    interpreter = Path(sys.executable).resolve()
    root.add(Path(sys.executable))
    added = list(root.tree(stdlib))
    for folder in folders:  # the Dockerfile copies them itself; here come the libraries they need
        added += [file for file in folder.rglob("*") if file.is_file()]
    needed = set[Path]()
    for file in [interpreter, *added]:
        if file.is_file() and (file == interpreter or ".so" in file.name) and is_elf(file):
            needed |= libraries(file)
    own = tuple(f"{folder}/" for folder in folders)
    for library in sorted(needed):
        if not str(library).startswith(own):
            root.add(library)
    for name in FILES:
        if Path(name).exists():
            root.add(Path(name))
    describe(root, packages(root.sources) | {"ca-certificates"})
    root.write("/etc/passwd", USERS)
    root.write("/etc/group", GROUP)
    root.write("/etc/nsswitch.conf", NSSWITCH)
    temporary = root.place(Path("/tmp"))  # noqa: S108
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o1777)
    # Some bases leave the bytecode out, and in a read-only image nobody could keep it.
    words = ["-m", "compileall", "-q", "-s", sys.argv[1], "-p", "/", str(root.place(stdlib))]
    subprocess.run([sys.executable, *words], check=True)


if __name__ == "__main__":
    main()
