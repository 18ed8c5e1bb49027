"""Writes a zip from front to back (PKWARE APPNOTE 6.3.10): fixed times, sizes behind each file, zip64 where needed."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable

_DEFLATED, _STORED = 8, 0
_BEHIND, _UTF8 = 1 << 3, 1 << 11
_DATE = (1 << 5) | 1  # 1 January 1980, the first day a zip can name
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_LARGE = 0xF0000000
"""Files from this size on get the large form of the record behind them."""
SAMPLE = 4 << 10
_HARD = 0.97
"""A sample that Huffman's code alone leaves larger than this is not worth the time of compressing."""
_DISTINCT = 200
"""Of 256 bytes, how many are among 1,024 of what is compressed: about 250. Text has not half as many."""
LEVEL = 1

Write = Callable[[bytes | memoryview], None]


class ZipWriter:
    """Entries one after another, then `close`. What `write` raises goes through."""

    def __init__(self, write: Write) -> None:
        self._write_out = write
        self._at = 0
        self._directory = bytearray()
        self.entries = 0

    def folder(self, path: str) -> None:
        """An (often empty) folder."""
        self._known(path + "/", stat.S_IFDIR | 0o755, b"")

    def link(self, path: str, target: str) -> None:
        """A symbolic link, kept as one (Info-ZIP's way: the target is the content)."""
        self._known(path, stat.S_IFLNK | 0o777, target.encode())

    def file(self, path: str, *, executable: bool, expected: int) -> Content:
        """Begin a file of about `expected` bytes: write to what is returned, then end it."""
        mode = stat.S_IFREG | (0o755 if executable else 0o644)
        large = expected >= _LARGE
        name, at = path.encode(), self._at
        extra = struct.pack("<HHQQ", 1, 16, 0, 0) if large else b""
        sizes = _MAX32 if large else 0
        self._local(name, _BEHIND, _DEFLATED, 0, sizes, sizes, extra, large=large)
        return Content(self, name, mode, at, large=large)

    def close(self) -> None:
        """Write the central directory."""
        begin, size, count = self._at, len(self._directory), self.entries
        self.write(memoryview(self._directory))
        if count >= _MAX16 or size >= _MAX32 or begin >= _MAX32:
            at = self._at
            self.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0x32D, 45, 0, 0, count, count, size, begin))
            self.write(struct.pack("<IIQI", 0x07064B50, 0, at, 1))
        few = min(count, _MAX16)
        self.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, few, few, min(size, _MAX32), min(begin, _MAX32), 0))

    def write(self, data: bytes | memoryview) -> None:
        """Bytes of the archive, counted."""
        self._at += len(data)
        self._write_out(data)

    def _known(self, path: str, mode: int, content: bytes) -> None:
        name, at, crc, size = path.encode(), self._at, zlib.crc32(content), len(content)
        self._local(name, 0, _STORED, crc, size, size, b"", large=False)
        self.write(content)
        self.listed(name, mode, at, 0, _STORED, crc, size, size)

    def _local(
        self, name: bytes, flags: int, method: int, crc: int, packed: int, size: int, extra: bytes, *, large: bool
    ) -> None:
        version = 45 if large else 20
        head = (0x04034B50, version, flags | _UTF8, method, 0, _DATE, crc, packed, size, len(name), len(extra))
        self.write(struct.pack("<IHHHHHIIIHH", *head) + name + extra)

    def listed(
        self, name: bytes, mode: int, at: int, flags: int, method: int, crc: int, packed: int, size: int
    ) -> None:
        """Remember an entry for the central directory."""
        wide = [value for value in (size, packed, at) if value >= _MAX32]
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        version = 45 if wide else 20
        self._directory += struct.pack(
            "<IHHHHHHIIIHHHHHII",
            *(0x02014B50, (3 << 8) | version, version, flags | _UTF8, method, 0, _DATE, crc),
            *(min(packed, _MAX32), min(size, _MAX32), len(name), len(extra), 0, 0, 0),
            *(mode << 16 | (0x10 if stat.S_ISDIR(mode) else 0), min(at, _MAX32)),
        )
        self._directory += name + extra
        self.entries += 1


class Content:
    """The content of one file: compressed, or in deflate's stored form where that gains nothing."""

    def __init__(self, zip_writer: ZipWriter, name: bytes, mode: int, at: int, *, large: bool) -> None:
        self._zip, self._name, self._mode, self._at, self._large = zip_writer, name, mode, at, large
        self._packer: zlib._Compress | None = None
        self._crc = self._packed = self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """More of the file."""
        if self._packer is None:
            level = 0 if is_hard(data) else LEVEL
            self._packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        self._crc = zlib.crc32(data, self._crc)
        self.size += len(data)
        self._out(self._packer.compress(data))

    def end(self) -> None:
        """The file is complete."""
        packer = self._packer or zlib.compressobj(LEVEL, zlib.DEFLATED, -15)
        self._out(packer.flush())
        form = "<IIQQ" if self._large else "<IIII"
        if not self._large and max(self.size, self._packed) > _MAX32:
            raise OverflowError("a file grew beyond what was expected")  # callers read no more than they announced
        self._zip.write(struct.pack(form, 0x08074B50, self._crc, self._packed, self.size))
        self._zip.listed(self._name, self._mode, self._at, _BEHIND, _DEFLATED, self._crc, self._packed, self.size)

    def _out(self, data: bytes) -> None:
        self._packed += len(data)
        if data:
            self._zip.write(data)


def is_hard(data: bytes | memoryview) -> bool:
    """Whether data looks compressed already, by a sample from its middle: a twentieth of the time of trying it all."""
    if len(data) < 2 * SAMPLE:
        return False
    begin = (len(data) - SAMPLE) // 2
    if len(set(data[begin : begin + 1024])) < _DISTINCT:
        return False
    packer = zlib.compressobj(1, zlib.DEFLATED, -9, 3, zlib.Z_HUFFMAN_ONLY)
    packed = len(packer.compress(data[begin : begin + SAMPLE])) + len(packer.flush())
    return packed > _HARD * SAMPLE
