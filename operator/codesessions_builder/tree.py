"""Reads of an unpacked source: bounded, and no link is followed, be it a file's or a folder's above it.

The user's own build steps have written here too, and this program can read what they cannot.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

MOST = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Tree:
    """The folder with this descriptor."""

    def __init__(self, folder: int) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[int]:
        """A folder's descriptor. Raises OSError, for a link too."""
        at = os.open(".", _FOLDER, dir_fd=self.folder)
        try:
            for part in PurePosixPath(path).parts:
                following = os.open(part, _FOLDER, dir_fd=at)
                os.close(at)
                at = following
            yield at
        finally:
            os.close(at)

    def names(self, path: str = ".") -> list[str]:
        """What is in a folder, sorted; nothing if it is none."""
        try:
            with self.open(path) as folder, os.scandir(folder) as listing:
                return sorted(entry.name for entry in listing)
        except OSError:
            return []

    def has(self, path: str) -> bool:
        """Whether there is a regular file."""
        return stat.S_ISREG(self._mode(path))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return stat.S_ISDIR(self._mode(path))

    def text(self, path: str) -> str:
        """A file's text, its first `MOST` bytes, without a byte order mark; empty if there is none."""
        where = PurePosixPath(path)
        try:
            with self.open(str(where.parent)) as folder:
                file = os.open(where.name, _FILE, dir_fd=folder)
        except OSError:
            return ""
        with os.fdopen(file, "rb") as content:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return ""
            return content.read(MOST).decode("utf-8-sig", "replace")

    def _mode(self, path: str) -> int:
        where = PurePosixPath(path)
        try:
            with self.open(str(where.parent)) as folder:
                return os.stat(where.name, dir_fd=folder, follow_symlinks=False).st_mode
        except (OSError, ValueError):
            return 0


@contextlib.contextmanager
def open_file(folder: int, path: str) -> Iterator[BinaryIO]:
    """A regular file below a folder, for reading. Raises OSError, for a link too."""
    where = PurePosixPath(path)
    with Tree(folder).open(str(where.parent)) as at:
        file = os.open(where.name, _FILE, dir_fd=at)
    with os.fdopen(file, "rb") as content:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        yield content


def module_of(path: str) -> str:
    """`app/main.py` -> `app.main`."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
