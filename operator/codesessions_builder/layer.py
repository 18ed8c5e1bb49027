"""One layer of a folder, as a deterministic stream: names sorted, one time, owner root, of modes the x bit.

Whoever filled the folder may still write to it: it is walked by descriptors and no link is followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator

from codesessions_builder.errors import BuildError, shown

_BLOCK = 256 << 10
_PIECE = 512 << 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\x04\xff"  # RFC 1952: no name, no time
MAX_DEPTH = 100


def time_of(digest: str) -> int:
    """A time between 2010 and 2018 that changes with the source: web servers make ETags of it. Seconds since 1970."""
    return 1_262_304_000 + int(digest.partition(":")[2][:7], 16)


class Layer:
    """Iterate for the gzipped tar; `diff_id`, `digest` and `size` hold at its end. Raises BuildError and OSError."""

    def __init__(self, folder: int, prefix: str, time: int = 0, *, most: int = 8 << 30) -> None:
        self._folder, self._prefix, self._time = folder, prefix.strip("/"), time
        self._most = self._left = most
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self.size = 0
        self.entries = 0

    @property
    def diff_id(self) -> str:
        """Digest of the tar itself (OCI Image: layer DiffID)."""
        return "sha256:" + self._plain.hexdigest()

    @property
    def digest(self) -> str:
        """Digest of what was sent."""
        return "sha256:" + self._packed.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        packer, crc, length, waiting = zlib.compressobj(1, zlib.DEFLATED, -15), 0, 0, bytearray(_GZIP)
        for data in self._tar():
            self._plain.update(data)
            crc, length = zlib.crc32(data, crc), length + len(data)
            waiting += packer.compress(data)
            if len(waiting) >= _PIECE:
                yield self._out(waiting)
                waiting = bytearray()
        waiting += packer.flush()
        waiting += crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")
        yield self._out(waiting)

    def _out(self, data: bytearray) -> bytes:
        piece = bytes(data)
        self._packed.update(piece)
        self.size += len(piece)
        return piece

    def _tar(self) -> Iterator[bytes]:
        path = ""
        for part in self._prefix.split("/"):
            path = f"{path}/{part}".lstrip("/")
            yield self._header(path, tarfile.DIRTYPE)
        yield from self._walk(self._folder, self._prefix, 0)
        yield b"\0" * 1024

    def _walk(self, folder: int, prefix: str, depth: int) -> Iterator[bytes]:
        if depth > MAX_DEPTH:
            raise BuildError("too_deep", f"{shown(prefix)} is more than {MAX_DEPTH} folders deep")
        with os.scandir(folder) as listing:
            names = sorted((entry.name for entry in listing), key=os.fsencode)
        for name in names:
            if name.startswith(".wh."):
                raise BuildError("bad_name", f"{shown(prefix + '/' + name)} would delete files of the base image")
            yield from self._entry(folder, name, f"{prefix}/{name}", depth)

    def _entry(self, folder: int, name: str, path: str, depth: int) -> Iterator[bytes]:
        state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(state.st_mode):
            yield self._header(path, tarfile.SYMTYPE, target=os.readlink(name, dir_fd=folder))
        elif stat.S_ISDIR(state.st_mode):
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                yield self._header(path, tarfile.DIRTYPE)
                yield from self._walk(inner, path, depth + 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(state.st_mode):
            yield from self._file(folder, name, path)

    def _file(self, folder: int, name: str, path: str) -> Iterator[bytes]:
        file = os.open(name, _FILE, dir_fd=folder)
        with os.fdopen(file, "rb", buffering=0) as content:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                raise BuildError("changed", f"{shown(path)} changed while it was read")
            self._left -= state.st_size
            if self._left < 0:
                raise BuildError("result_too_large", f"with {shown(path)} the result is over {self._most} bytes")
            yield self._header(
                path, tarfile.REGTYPE, mode=0o755 if state.st_mode & 0o111 else 0o644, size=state.st_size
            )
            left = state.st_size
            while left:
                data = content.read(min(_BLOCK, left))
                if not data:
                    raise BuildError("changed", f"{shown(path)} changed while it was read")
                left -= len(data)
                yield data
            if padding := -state.st_size % 512:
                yield b"\0" * padding

    def _header(self, path: str, kind: bytes, *, mode: int = 0o755, size: int = 0, target: str = "") -> bytes:
        self.entries += 1
        info = tarfile.TarInfo(path)
        info.type, info.size, info.linkname = kind, size, target
        info.mtime = self._time
        info.mode = 0o777 if kind == tarfile.SYMTYPE else mode
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
