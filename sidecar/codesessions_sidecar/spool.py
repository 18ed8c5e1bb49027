"""The transcript: a byte log cut into numbered chunks, kept in two ring files.

`output` holds the bytes, `chunks` one record a chunk: where it ends and when it came. Both outlive the process, and
with the volume the pod. Order of stores: bytes, then `head`; record, then `next`. Whatever instruction is the last
one, each number is right for what was stored before it.

Why a kill loses and doubles nothing. Output goes from the pty into a pipe (see pty.py), and by one read(2) of that pipe
into the ring: the kernel copies first and takes out after, so what is out of the pipe is in the ring. Before that read
`due` is stored: where `head` will be when the pipe is empty. Nothing enters the pipe while anything is due. So if the
process dies between the read and the store of `head`, its successor knows by what is left in the pipe how far the read
came, and `adopt` moves `head` there. No number is used twice: `next` is stored after the record it counts, and a record
without it is written again.

What this does not cover is the death of the machine: the kernel writes pages back within some 30 s (proc_sys_vm(5),
dirty_expire_centisecs). Files that do not fit together after it are set aside and a new log begins, whose numbering
goes on behind what is known.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import NamedTuple

from codesessions_sidecar.log import log
from codesessions_sidecar.pty import Pty
from codesessions_sidecar.ring import RingFile
from codesessions_sidecar.sizes import Sizes
from codesessions_sidecar.utf8 import incomplete_tail

_OUTPUT_MAGIC = 0x3230_5054_554F_5343  # "CSOUTP02"
_CHUNKS_MAGIC = 0x3230_4B4E_4843_5343
_HEAD, _EPOCH, _DUE, _MIRROR, _INSTANCE, _EXIT, _FIRST = range(1, 8)
_NEXT = 1
_MOST_BYTES = 1 << 63
_RECORD = struct.Struct("<QQ")
_MOST_SEQ = 1 << 53  # what JSON carries exactly (RFC 8259, section 6)
_LAST_ASCII = 0x7F
MAX_READ = 65536
"""Bytes of one read, and of one chunk, at most."""


class Chunk(NamedTuple):
    """A piece of output. `created_ns` is Unix time in nanoseconds."""

    seq: int
    data: bytes
    created_ns: int


class Spool:
    """Output of a session, numbered 1, 2, 3 ... for as long as the session lives.

    `instance` names the pod: how the shell ended is kept, and forgotten in the next pod, unless that has no name: it
    has no shell. Raises OSError.
    """

    def __init__(self, folder: Path, size: int, instance: int | None = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.floor = 0
        """Chunks before this number do not count as kept: what a screen needs to show them is not known."""
        self._paths = folder / "output", folder / "chunks"
        self._records = max(4096, size // 128)
        self._sizes = size, self._records * _RECORD.size
        if not all(map(RingFile.is_there, self._paths, (_OUTPUT_MAGIC, _CHUNKS_MAGIC), self._sizes)):
            self._start_over()
        self._open()
        if not self._is_sound():
            self.close()
            self._start_over()
            self._open()
        numbers = self._output.numbers
        if instance is not None and numbers[_INSTANCE] != instance:
            numbers[_EXIT] = 0
            numbers[_INSTANCE] = instance
        self.newest: Chunk | None = None
        """The newest chunk, if this process has made it."""
        self._cut_until = self._end(self.last_seq)
        self._oldest = self._find_oldest()
        self._oldest_start = self._end(self._oldest - 1)
        self.cut()

    def _open(self) -> None:
        self._output, self._chunks = map(RingFile, self._paths, self._sizes)
        self.sizes = Sizes(self._paths[0].parent)

    def _start_over(self) -> None:
        """Two new files; the numbering goes on behind the highest number that either old one knows."""
        output, chunks = map(RingFile.peek, self._paths)
        known = [numbers[place] for numbers, place in ((output, _MIRROR), (chunks, _NEXT)) if numbers]
        fresh = max([1, *(seq for seq in known if seq <= _MOST_SEQ)])
        RingFile.make(
            self._paths[0], _OUTPUT_MAGIC, self._sizes[0], {_MIRROR: fresh, _FIRST: fresh}
        )  # alone it fits no old records
        RingFile.make(self._paths[1], _CHUNKS_MAGIC, self._sizes[1], {_NEXT: fresh})
        if known:
            log("transcript-started-over", nextSeq=fresh, reason="the files do not fit together, or not the settings")

    def _is_sound(self) -> bool:
        """Whether the numbers and every record that is kept fit together."""
        fresh, mirror, head = self._chunks.numbers[_NEXT], self._output.numbers[_MIRROR], self.head
        first = self._output.numbers[_FIRST]
        if not 1 <= first <= fresh <= _MOST_SEQ or mirror not in {fresh, fresh - 1} or head >= _MOST_BYTES:
            return False
        seq = self._oldest_recorded()
        before = 0 if seq == first else self._end(seq - 1)
        while seq < fresh:
            count = min(4096, fresh - seq)
            block = self._chunks.read(seq % self._records * _RECORD.size, count * _RECORD.size)
            for end, _ in _RECORD.iter_unpack(block):
                if not before < end <= head:
                    return False
                before = end
            seq += count
        return head - before <= 4 * MAX_READ

    # -- numbers

    @property
    def head(self) -> int:
        """Bytes ever stored."""
        return self._output.numbers[_HEAD]

    @property
    def pending(self) -> int:
        """Bytes stored that are in no chunk yet."""
        return self.head - self._cut_until

    @property
    def last_seq(self) -> int:
        """The newest chunk's number; 0 if there is none."""
        return self._chunks.numbers[_NEXT] - 1

    @property
    def oldest_seq(self) -> int:
        """The oldest chunk that is kept; `last_seq + 1` if none is."""
        return max(self.floor, self.oldest_whole)

    @property
    def oldest_whole(self) -> int:
        """The oldest chunk that is not overwritten; `last_seq + 1` if none is."""
        last, kept_from = self.last_seq, self._kept_from()
        oldest = max(self._oldest, self._oldest_recorded())
        start = self._oldest_start if oldest == self._oldest else self._end(oldest - 1)
        while oldest <= last and start < kept_from:
            start = self._end(oldest)
            oldest += 1
        self._oldest, self._oldest_start = oldest, start  # it never becomes less
        return oldest

    def _oldest_recorded(self) -> int:
        """The oldest chunk whose start and end are on record; the next record to be written may be half there."""
        return max(self._output.numbers[_FIRST], self.last_seq - self._records + 3)

    def _kept_from(self) -> int:
        """The first byte that is surely not overwritten: the next read may write up to there."""
        return self.head + MAX_READ - self._output.size

    def _find_oldest(self) -> int:
        last, kept_from = self.last_seq, self._kept_from()
        low, high = self._oldest_recorded(), last + 1
        while low < high:
            middle = (low + high) // 2
            if self._end(middle - 1) >= kept_from:
                high = middle
            else:
                low = middle + 1
        return low

    def _record(self, seq: int) -> tuple[int, int]:
        """End and time of a chunk."""
        end, created = self._chunks.unpack(_RECORD, seq % self._records * _RECORD.size)
        return end, created

    def _end(self, seq: int) -> int:
        return self._record(seq)[0]

    def length(self, seq: int) -> int:
        """Bytes of a chunk that is kept."""
        return self._end(seq) - self._end(seq - 1)

    def position(self, seq: int) -> int:
        """Bytes ever stored up to the end of this chunk, or of the nearest one that is kept."""
        return self._end(min(max(seq, self.oldest_seq - 1), self.last_seq))

    def distance(self, after: int, until: int) -> int:
        """Bytes of the chunks after number `after`, up to number `until`, as far as they are kept."""
        return max(0, self.position(until) - self.position(after))

    def newest_within(self, position: int) -> int:
        """The newest chunk that ends by this position; `oldest_seq - 1` if none that is kept does."""
        low, high = self.oldest_seq - 1, self.last_seq
        while low < high:
            middle = (low + high + 1) // 2
            if self._end(middle) <= position:
                low = middle
            else:
                high = middle - 1
        return low

    @property
    def exit_mark(self) -> int:
        """What was last stored here in this pod; 0 at first. Survives like everything else."""
        return self._output.numbers[_EXIT]

    @exit_mark.setter
    def exit_mark(self, value: int) -> None:
        self._output.numbers[_EXIT] = value

    # -- writing

    def adopt(self, epoch: int, pty: Pty) -> None:
        """Line up with a launcher: `epoch` is the random name of its pipes. See the module's text."""
        numbers, left = self._output.numbers, pty.printed
        if numbers[_EPOCH] != epoch:
            self.cut(whole=True)  # what an earlier shell left unfinished stays so
        elif numbers[_DUE] > self.head:
            taken = numbers[_DUE] - self.head - left
            if 0 <= taken <= MAX_READ:
                numbers[_HEAD] = self.head + taken
            else:
                log("transcript-gap", detail=f"{left} bytes in the pipe do not fit the transcript")
        numbers[_DUE] = self.head + min(left, MAX_READ)
        numbers[_EPOCH] = epoch

    def receive(self, pty: Pty) -> int:
        """Take what the shell has printed, at most 64 KiB; returns the count.

        Raises BlockingIOError: there is nothing now; OSError: nobody has the terminal open.
        """
        numbers = self._output.numbers
        head = numbers[_HEAD]
        due = numbers[_DUE] - head
        if due <= 0:
            due = pty.pull(MAX_READ)
            numbers[_DUE] = head + due
        try:
            head += self._output.receive(pty.output, head, due)
        except BlockingIOError:  # somebody who should not hold the pipe has emptied it
            numbers[_DUE] = head
            raise
        count = head - numbers[_HEAD]
        numbers[_HEAD] = head
        self._output.cool(head)
        return count

    def cut(self, *, whole: bool = False) -> int:
        """Make chunks of what is pending, up to the last whole character, or with `whole` up to the last byte.

        Returns how many.
        """
        head, first, start = self._output.numbers[_HEAD], self._chunks.numbers[_NEXT], self._cut_until
        seq = first
        while start < head:
            end = min(head, start + MAX_READ)
            data = self._output.recent(start, end - start)
            if not (whole and end == head) and data[-1] > _LAST_ASCII:
                end -= incomplete_tail(data)
            if end <= start:
                break
            created = time.time_ns()
            self._chunks.pack(_RECORD, seq % self._records * _RECORD.size, end, created)
            self.newest = Chunk(seq, data[: end - start], created)
            seq += 1
            self._chunks.numbers[_NEXT] = seq
            self._output.numbers[_MIRROR] = seq
            self._cut_until = start = end
        return seq - first

    # -- reading

    def read(self, after: int, limit: int) -> list[Chunk]:
        """Chunks after number `after`, oldest first, of `limit` bytes in all, or the first one if that is longer."""
        found: list[Chunk] = []
        last = self.last_seq
        if after >= last:
            return found
        seq = max(after + 1, self.oldest_seq)
        if seq > last:
            return found
        start, budget = self._end(seq - 1), limit
        while seq <= last:
            end, created = self._record(seq)
            budget -= end - start
            if budget < 0 and found:
                break
            found.append(Chunk(seq, self._output.read(start, end - start), created))
            start, seq = end, seq + 1
        return found

    def span(self, after: int, limit: int, until: int = _MOST_SEQ) -> tuple[bytes, int]:
        """Whole chunks after number `after`, which must be kept, in one run of at most `limit` bytes, or one chunk.

        None after number `until`. Returns the last one's number too; no bytes if there is none.
        """
        start, low, high = self._end(after), after, min(until, self.last_seq)
        while low < high:
            middle = (low + high + 1) // 2
            if self._end(middle) - start <= limit or middle == after + 1:
                low = middle
            else:
                high = middle - 1
        return self._output.read(start, self._end(low) - start), low

    def falls_out_soon(self, after: int, margin: int) -> bool:
        """Whether chunks after number `after` are among the oldest, with `margin` bytes (or records) to go."""
        if self.last_seq - after > self._records - min(margin, self._records // 4):
            return True
        return self.head > self._output.size - margin and self._end(after) < self._kept_from() + margin

    def due(self, after: int, margin: int) -> tuple[int, int]:
        """`head` and `last_seq` from which `falls_out_soon` may be true."""
        head = max(self._output.size - margin, self._end(after) + self._output.size - MAX_READ - margin)
        return head, after + self._records - min(margin, self._records // 4)

    def close(self) -> None:
        """Release the files."""
        self._output.close()
        self._chunks.close()
        self.sizes.close()
