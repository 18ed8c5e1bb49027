"""The transcript: a byte log cut into numbered chunks, kept in two ring files.

`output` holds the bytes, `chunks` one record a chunk: where it ends and when it came. Both outlive the process, and
with the volume the pod. Order of stores: bytes, then `head`; record, then `next`. Whatever instruction is the last
one, each number is right for what was stored before it.

A byte reaches the ring by the `recv` that takes it out of the launcher's socket, and the launcher counts what was
taken.
If the process dies between that call and the store of `head`, its successor is told a count beyond `head`, and
the bytes are in the ring already: `adopt` moves `head` over them. Nothing is lost or doubled.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from codesessions_sidecar.ring import RingFile
from codesessions_sidecar.utf8 import incomplete_tail

_OUTPUT_MAGIC = 0x3130_5054_554F_5343  # "CSOUTP01"
_CHUNKS_MAGIC = 0x3130_4B4E_4843_5343
_HEAD, _EPOCH, _BASE, _FLOOR, _MIRROR = 1, 2, 3, 4, 5
_MASK = (1 << 64) - 1
_NEXT = 1
_RECORD = struct.Struct("<QQ")
MAX_READ = 65536


@dataclass(frozen=True)
class Chunk:
    """A piece of output. `created_ns` is Unix time in nanoseconds."""

    seq: int
    data: bytes
    created_ns: int


class SpoolMismatchError(Exception):
    """The launcher's count and the transcript cannot both be right."""


class Spool:
    """Output of a session, numbered 1, 2, 3 ... for as long as the session lives."""

    def __init__(self, folder: Path, size: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._output = RingFile(folder / "output", _OUTPUT_MAGIC, size)
        records = max(4096, size // 128)
        self._chunks = RingFile(folder / "chunks", _CHUNKS_MAGIC, records * _RECORD.size)
        self._records = records
        if self._output.fresh or self._chunks.fresh:
            self._start_over()

    def _start_over(self) -> None:
        """Neither file is of use without the other: go on behind whatever was known; the numbering never goes back."""
        output, chunks = self._output.numbers, self._chunks.numbers
        fresh = max(1, chunks[_NEXT], output[_MIRROR])
        head = max(output[_HEAD], 0 if self._chunks.fresh else self._end(self.last_seq))
        output[_HEAD] = output[_FLOOR] = head
        self._write_record(fresh - 1, head)
        chunks[_NEXT] = output[_MIRROR] = fresh

    def _write_record(self, seq: int, end: int) -> None:
        self._chunks.write(seq % self._records * _RECORD.size, _RECORD.pack(end, time.time_ns()))

    # -- numbers

    @property
    def head(self) -> int:
        """Bytes ever stored."""
        return self._output.numbers[_HEAD]

    @property
    def last_seq(self) -> int:
        """The newest chunk's number; 0 if there is none."""
        return max(0, self._chunks.numbers[_NEXT] - 1)

    @property
    def oldest_seq(self) -> int:
        """The oldest chunk that is still whole; `last_seq + 1` if none is."""
        return self._first_kept()

    def _record(self, seq: int) -> tuple[int, int]:
        """End and time of a chunk."""
        place = seq % self._records * _RECORD.size
        end, created = _RECORD.unpack(self._chunks.read(place, _RECORD.size))
        return end, created

    def _end(self, seq: int) -> int:
        return self._record(seq)[0]

    def _first_kept(self) -> int:
        last = self.last_seq
        low, high = max(1, last - self._records + 2), last + 1
        kept_from = max(self.head - self._output.size, self._output.numbers[_FLOOR])
        while low < high:  # the first chunk whose start has not been overwritten
            middle = (low + high) // 2
            if self._start(middle) >= kept_from:
                high = middle
            else:
                low = middle + 1
        return low

    def _start(self, seq: int) -> int:
        return self._end(seq - 1)

    def length(self, seq: int) -> int:
        """Bytes of a chunk that is kept."""
        return self._end(seq) - self._start(seq)

    # -- writing

    def adopt(self, epoch: int, taken: int) -> None:
        """Line up with a launcher that says `taken` bytes of its output were ever received. See the module's text.

        Raises SpoolMismatchError if that cannot be.
        """
        numbers = self._output.numbers
        if numbers[_EPOCH] != epoch:
            numbers[_BASE] = (self.head - taken) & _MASK
            numbers[_EPOCH] = epoch
            return
        gap = (taken + numbers[_BASE] - self.head) & _MASK
        if gap > MAX_READ:
            numbers[_EPOCH] = 0
            raise SpoolMismatchError(f"{gap} bytes between the launcher's count and the transcript")
        numbers[_HEAD] = self.head + gap

    def receive(self, source: socket.socket) -> int:
        """Take what a socket has, at most 64 KiB; returns the count, 0 at its end. BlockingIOError: nothing yet."""
        count = self._output.receive(source, self.head, MAX_READ)
        if count:
            self._output.numbers[_HEAD] = self.head + count
            self._output.cool(self.head)
        return count

    def pending(self) -> int:
        """Bytes that are stored and not yet in a chunk."""
        return self.head - self._end(self.last_seq)

    def cut(self, *, whole: bool = False) -> int:
        """Make chunks of what is pending, up to the last whole character, or with `whole` up to the last byte.

        Returns how many bytes stay pending.
        """
        start, head = self._end(self.last_seq), self.head
        start = max(start, head - self._output.size)
        while start < head:
            end = min(head, start + MAX_READ)
            tail = self._output.read(end - min(4, end - start), min(4, end - start))
            if not (whole and end == head):
                end -= incomplete_tail(tail)
            if end <= start:
                break
            seq = self.last_seq + 1
            self._write_record(seq, end)
            self._chunks.numbers[_NEXT] = self._output.numbers[_MIRROR] = seq + 1
            start = end
        return head - start

    # -- reading

    def read(self, after: int, limit: int) -> list[Chunk]:
        """Chunks after number `after`, oldest first, of `limit` bytes in all, or the first one if that is longer."""
        found: list[Chunk] = []
        seq = max(after + 1, self._first_kept())
        last = self.last_seq
        if seq > last:
            return found
        start, budget = self._start(seq), limit
        while seq <= last:
            end, created = self._record(seq)
            budget -= end - start
            if budget < 0 and found:
                break
            found.append(Chunk(seq, self._output.read(start, end - start), created))
            start, seq = end, seq + 1
        return found

    def close(self) -> None:
        """Release both files."""
        self._output.close()
        self._chunks.close()
