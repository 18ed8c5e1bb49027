"""A transcript that is kept in a file: any page of its output at once, as the live terminal would answer."""

from __future__ import annotations

import time
from array import array
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, BinaryIO

from codesessions_transcript.records import End, Header, Output, Reader, Record, TranscriptError

_BLOCK = 256 << 10
MAX_LIMIT = 256 << 10
"""Bytes of output in one page, as the sidecar has it."""


class Archive:
    """A whole transcript in a seekable file, which stays the caller's. Raises TranscriptError.

    It holds 28 bytes a chunk in memory. `header`, `end`: the transcript's first and last record.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seqs, self._places, self._times = (array("Q") for _ in range(3))
        self._lengths = array("I")
        header: Header | None = None
        end: End | None = None
        for record in self.records():
            match record:
                case Header():
                    header = record
                case Output():
                    self._seqs.append(record.seq)
                    self._places.append(record.place)
                    self._lengths.append(len(record.data))
                    self._times.append(record.created_ns)
                case End():
                    end = record
                case _:
                    pass
        if header is None or end is None:
            raise TranscriptError("the transcript is empty")
        self.header, self.end = header, end

    @property
    def oldest_seq(self) -> int:
        """The oldest chunk there is; `lastSeq + 1` if there is none."""
        return self._seqs[0] if self._seqs else self.end.last_seq + 1

    def records(self) -> Iterator[Record]:
        """All records in order, with no more than one in memory."""
        reader, position = Reader(), 0
        while True:
            self._file.seek(position)  # somebody else may have read a page between two records
            part = self._file.read(_BLOCK)
            if not part:
                break
            position += len(part)
            yield from reader.feed(part)
        reader.finish()

    def output(self, after: int, limit: int = MAX_LIMIT, *, raw: bool = False) -> dict[str, Any]:
        """The chunks after number `after`, of `limit` bytes in all or the first one, as JSON: `GET /v1/output`.

        With `raw` the exact bytes, in base64, in `data` in place of `text`.
        """
        index, budget = bisect_right(self._seqs, after), min(limit, MAX_LIMIT)
        following = self._seqs[index] if index < len(self._seqs) else max(after + 1, self.oldest_seq)
        chunks: list[dict[str, Any]] = []
        while index < len(self._seqs):
            budget -= self._lengths[index]
            if chunks and (budget < 0 or self._seqs[index] != chunks[-1]["seq"] + 1):
                break
            self._file.seek(self._places[index])
            data = self._file.read(self._lengths[index])
            content = {"data": b64encode(data).decode()} if raw else {"text": data.decode("utf-8", "replace")}
            chunks.append({"seq": self._seqs[index], **content, "createdAt": timestamp(self._times[index])})
            index += 1
        ended = self.end.code is not None or self.end.signal is not None
        return {
            "chunks": chunks,
            "lastSeq": self.end.last_seq,
            "oldestSeq": self.oldest_seq,
            "truncated": following > after + 1,
            "exit": {"code": self.end.code, "signal": self.end.signal} if ended else None,
        }


def timestamp(nanoseconds: int) -> str:
    """Unix time in nanoseconds as RFC 3339 in UTC, to the millisecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03d}Z"
