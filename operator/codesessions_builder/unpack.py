"""Unpacks a zip that nobody vouches for: limits are counted while inflating, nothing lands outside of the folder.

Links are made last, so no file can be written through one, and may only point into the tree.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from codesessions_builder.errors import BuildError, shown

_BLOCK = 256 << 10
_MAX_LINK = 4096
_TAIL = 22 + 0xFFFF
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, IndexError),
)
"""What `zipfile` raises for bytes that are no zip."""


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, inflated."""

    entries: int = 50_000
    file: int = 512 << 20
    total: int = 2 << 30
    path: int = 1024
    depth: int = 64


@dataclass(frozen=True)
class Unpacked:
    """How much it was."""

    entries: int
    size: int


def unpack(archive: BinaryIO, folder: int, limits: Limits) -> Unpacked:
    """Unpack into an empty folder, given by its descriptor. Raises BuildError, and OSError of the disk."""
    try:
        if _count(archive) > limits.entries:
            raise _invalid(f"it has more than {limits.entries} entries", "too_many_entries")
        with zipfile.ZipFile(archive) as found:
            return _Unpacking(found, folder, limits).run()
    except _DAMAGE as error:
        raise _invalid(str(error) or type(error).__name__) from error


def _invalid(why: str, code: str = "source_invalid") -> BuildError:
    return BuildError(code, f"the source archive is not acceptable: {why}")


def _count(archive: BinaryIO) -> int:
    """Entries, by the end record alone: before a list of millions is read."""
    size = archive.seek(0, os.SEEK_END)
    archive.seek(max(0, size - _TAIL))
    tail = archive.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise zipfile.BadZipFile("it has no end record")
    count, length = struct.unpack_from("<HI", tail, at + 10)
    wide = tail.rfind(b"PK\x06\x06", 0, at)
    if wide >= 0 and at - wide >= 56:
        count, length = struct.unpack_from("<QQ", tail, wide + 32)
    archive.seek(0)
    return max(int(count), int(length) // 46 if length > 64 << 20 else 0)


class _Unpacking:
    def __init__(self, archive: zipfile.ZipFile, folder: int, limits: Limits) -> None:
        self._archive, self._folder, self._limits = archive, folder, limits
        self._names: set[str] = set()
        self._size = 0

    def run(self) -> Unpacked:
        entries = self._archive.infolist()
        if len(entries) > self._limits.entries:
            raise _invalid(f"it has more than {self._limits.entries} entries", "too_many_entries")
        links: list[tuple[str, str]] = []
        for entry in entries:
            path = self._path(entry)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.filename.endswith("/"):
                os.close(self._open_folder(path))
            elif kind == stat.S_IFLNK:
                links.append((path, self._target(entry, path)))
            elif kind in {0, stat.S_IFREG}:
                self._file(entry, path)
            else:
                raise _invalid(f"{shown(path)} is neither a file, a folder nor a link")
        for path, target in links:
            self._link(path, target)
        return Unpacked(len(entries), self._size)

    def _path(self, entry: zipfile.ZipInfo) -> str:
        """The entry's path, without a slash at its end. Raises BuildError for what is none."""
        path, limits = entry.orig_filename.removesuffix("/"), self._limits
        parts = path.split("/")
        if "\0" in path or "\\" in path or any(part in {"", ".", ".."} for part in parts):
            raise _invalid(f"{shown(path)} is not a path within it: rename it or name it in .csignore")
        if len(path.encode("utf-8", "surrogatepass")) > limits.path or len(parts) > limits.depth:
            raise _invalid(f"the path {shown(path)} is too long")
        if path in self._names:
            raise _invalid(f"{shown(path)} is in it twice")
        self._names.add(path)
        return path

    def _open_folder(self, path: str) -> int:
        """A folder's descriptor, made with those above it where they are missing."""
        at = os.open(".", _FOLDER, dir_fd=self._folder)
        for part in filter(None, path.split("/")):
            try:
                try:
                    following = os.open(part, _FOLDER, dir_fd=at)
                except FileNotFoundError:
                    os.mkdir(part, 0o755, dir_fd=at)
                    following = os.open(part, _FOLDER, dir_fd=at)
            except NotADirectoryError as error:
                raise _invalid(f"{shown(path)} is a file and a folder") from error
            finally:
                os.close(at)
            at = following
        return at

    def _file(self, entry: zipfile.ZipInfo, path: str) -> None:
        folder, _, name = path.rpartition("/")
        at = self._open_folder(folder)
        try:
            mode = 0o755 if entry.external_attr >> 16 & 0o111 else 0o644
            out = os.open(name, _NEW, mode, dir_fd=at)
        except FileExistsError as error:
            raise _invalid(f"{shown(path)} is in it twice") from error
        finally:
            os.close(at)
        with os.fdopen(out, "wb") as target, self._archive.open(entry) as content:
            size = 0
            while data := content.read(_BLOCK):
                size += len(data)
                self._size += len(data)
                if size > self._limits.file:
                    raise _invalid(f"{shown(path)} is over {self._limits.file} bytes", "file_too_large")
                if self._size > self._limits.total:
                    raise _invalid(f"with {shown(path)} it is over {self._limits.total} bytes", "source_too_large")
                target.write(data)

    def _target(self, entry: zipfile.ZipInfo, path: str) -> str:
        with self._archive.open(entry) as content:
            data = content.read(_MAX_LINK + 1)
        try:
            target = data.decode()
        except UnicodeDecodeError as error:
            raise _invalid(f"the link {shown(path)} has a target that is not UTF-8") from error
        if len(data) > _MAX_LINK or "\0" in target or not stays_inside(target, path.count("/")):
            raise _invalid(f"the link {shown(path)} points out of it, to {shown(target)}")
        return target

    def _link(self, path: str, target: str) -> None:
        folder, _, name = path.rpartition("/")
        at = self._open_folder(folder)
        try:
            os.symlink(target, name, dir_fd=at)
        except FileExistsError as error:
            raise _invalid(f"{shown(path)} is in it twice") from error
        finally:
            os.close(at)


def stays_inside(target: str, depth: int) -> bool:
    """Whether a link `depth` folders below the root points into the tree, whatever else is a link there.

    `..` may only stand at its beginning: behind a name it would depend on what that name is.
    """
    if not target or target.startswith("/"):
        return False
    parts = [part for part in target.split("/") if part not in {"", "."}]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    return ups <= depth and ".." not in parts[ups:]
