"""Walks a tree by the descriptors of its folders: nothing that is renamed or linked meanwhile can lead out of it.

The order is fixed: a folder before what is in it, names in the order of their bytes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from codesessions_sidecar.archive.dropped import VENV_MARK, is_dropped
from codesessions_sidecar.archive.errors import ArchiveError, shown
from codesessions_sidecar.archive.ignore import MAX_PATTERN, MAX_PATTERNS, Matches, Rules, parse
from codesessions_sidecar.archive.limits import Limits

IGNORE_FILES = (".dockerignore", ".csignore")
"""In this order: a line of the second may take back one of the first."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would block
_GONE = frozenset({errno.ENOENT})
_REPLACED = frozenset({errno.ELOOP, errno.ENOTDIR})


class Found:
    """A folder, a file or a link. `folder` is the descriptor it is in, open until the next one is asked for."""

    __slots__ = ("folder", "name", "path", "stat")

    def __init__(self, path: str, name: str, folder: int, state: os.stat_result) -> None:
        self.path, self.name, self.folder, self.stat = path, name, folder, state

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.stat.st_mode)


class Walk:
    """One pass over a tree. Raises ArchiveError and OSError."""

    def __init__(self, root: int, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self._rules = read_rules(root)
        self.skipped = 0
        """Sockets, FIFOs and devices that were passed over."""
        self._count = self._total = 0

    def __iter__(self) -> Iterator[Found]:
        yield from self._folder(self._root, "", self._rules.top, 1)

    def _folder(self, folder: int, prefix: str, above: Matches, depth: int) -> Iterator[Found]:
        for name in self._names(folder, prefix, above):
            path = prefix + name
            try:
                found = Found(path, name, folder, os.stat(name, dir_fd=folder, follow_symlinks=False))
            except OSError as error:
                if error.errno in _GONE:
                    continue
                raise unreadable(path, error) from error
            if not (found.is_folder or found.is_link or stat.S_ISREG(found.stat.st_mode)):
                self.skipped += 1
                continue
            if not found.is_folder:
                self._admit(found, depth)
                yield found
                continue
            inner = open_folder(folder, name, path)
            if inner is None:
                continue
            try:
                if _is_venv(inner):
                    continue
                if not self._rules.ignored(path, above):
                    self._admit(found, depth)
                    yield found
                if depth >= self._limits.depth:
                    raise ArchiveError("too_deep", f"{shown(path)} is more than {self._limits.depth} folders deep")
                yield from self._folder(inner, path + "/", self._rules.matches(path, above), depth + 1)
            finally:
                os.close(inner)

    def _names(self, folder: int, prefix: str, above: Matches) -> list[str]:
        """What is wanted of a folder, sorted. Only that is held in memory."""
        names = []
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if is_dropped(entry.name, folder=is_folder):
                        continue
                    if self._rules.ignored(prefix + entry.name, above) and not (is_folder and self._rules.exceptions):
                        continue
                    if not is_folder and not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                        self.skipped += 1
                        continue
                    names.append(entry.name)
                    if self._count + len(names) > self._limits.entries:
                        raise _too_many(prefix, self._limits)
        except OSError as error:
            raise unreadable(prefix or ".", error) from error
        return sorted(names, key=os.fsencode)

    def _admit(self, found: Found, depth: int) -> None:
        limits = self._limits
        try:
            length = len(found.path.encode())
        except UnicodeEncodeError as error:
            text = f"the name {shown(found.path)} is not UTF-8: rename it or name it in .csignore"
            raise ArchiveError("bad_name", text) from error
        if length > limits.path:
            raise ArchiveError("path_too_long", f"the path {shown(found.path)} is over {limits.path} bytes long")
        if depth > limits.depth:
            raise ArchiveError("too_deep", f"{shown(found.path)} is more than {limits.depth} folders deep")
        self._count += 1
        if self._count > limits.entries:
            raise _too_many(found.path.rpartition("/")[0], limits)
        if stat.S_ISREG(found.stat.st_mode):
            if found.stat.st_size > limits.file:
                raise too_large(found.path, limits)
            self._total += found.stat.st_size
            if self._total > limits.total:
                raise all_too_large(found.path, limits)


def _too_many(folder: str, limits: Limits) -> ArchiveError:
    where = shown(folder.rstrip("/")) if folder else "the workspace itself"
    text = f"there are more than {limits.entries} files; {where} goes beyond. Name what need not go along in .csignore"
    return ArchiveError("too_many_entries", text)


def too_large(path: str, limits: Limits) -> ArchiveError:
    """A file is over its limit."""
    text = f"{shown(path)} is over {limits.file} bytes. Name it in .csignore if it need not go along"
    return ArchiveError("file_too_large", text)


def all_too_large(path: str, limits: Limits) -> ArchiveError:
    """All files together are over the limit."""
    text = f"with {shown(path)} the files are over {limits.total} bytes. Name what need not go along in .csignore"
    return ArchiveError("archive_too_large", text)


def unreadable(path: str, error: OSError) -> ArchiveError:
    """A file cannot be read, or is not what it was a moment ago."""
    if error.errno in _REPLACED:
        return changed(path)
    text = f"{shown(path)} cannot be read ({error.strerror}): change its mode or name it in .csignore"
    return ArchiveError("unreadable", text)


def changed(path: str) -> ArchiveError:
    """A file does not hold still."""
    return ArchiveError("changed", f"{shown(path)} changed while it was read: try again when nothing writes to it")


def open_folder(folder: int, name: str, path: str) -> int | None:
    """A folder's descriptor; None if it is gone. Raises ArchiveError."""
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise unreadable(path, error) from error


def open_file(found: Found) -> tuple[int, os.stat_result] | None:
    """A regular file's descriptor and state; None if it is gone. Raises ArchiveError."""
    try:
        file = os.open(found.name, _FILE, dir_fd=found.folder)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise unreadable(found.path, error) from error
    state = os.fstat(file)
    if not stat.S_ISREG(state.st_mode):
        os.close(file)
        raise changed(found.path)
    return file, state


def link_target(found: Found, root: str) -> str | None:
    """Where a link points, from its own folder; None if it is gone. Raises ArchiveError if out of the tree.

    `..` is allowed at the beginning only: behind a name it would depend on what that name is, perhaps a link itself.
    An absolute target below `root` (the path of the tree in the session) becomes a relative one.
    """
    try:
        target = os.readlink(found.name, dir_fd=found.folder)
        target.encode()
    except UnicodeEncodeError as error:
        raise ArchiveError("bad_name", f"the target of the link {shown(found.path)} is not UTF-8") from error
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise unreadable(found.path, error) from error
    depth = found.path.count("/")
    if target == root or target.startswith(root + "/"):
        target = "../" * depth + target[len(root) :].lstrip("/") or "."
    if not stays_inside(target, depth):
        text = (
            f"the link {shown(found.path)} points out of the workspace, to {shown(target)}: "
            "remove it or name it in .csignore"
        )
        raise ArchiveError("link_escapes", text)
    return target


def stays_inside(target: str, depth: int) -> bool:
    """Whether a link `depth` folders below the root points into the tree, whatever else is a link there."""
    if not target or target.startswith("/"):
        return False
    parts = [part for part in target.split("/") if part not in {"", "."}]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    return ups <= depth and ".." not in parts[ups:]


def read_rules(root: int) -> Rules:
    """The rules of the tree's ignore files. Raises ArchiveError."""
    patterns = []
    for name in IGNORE_FILES:
        try:
            file = os.open(name, _FILE, dir_fd=root)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unreadable(name, error) from error
        with os.fdopen(file, "rb") as content:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ArchiveError("bad_pattern", f"{name} is not a file")
            text = content.read(MAX_PATTERN * MAX_PATTERNS)
        patterns += parse(text.decode("utf-8", "surrogateescape"), name)
    return Rules(patterns)


def _is_venv(folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(VENV_MARK, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
