"""The whole transcript as one stream, to be kept outside the pod; docs/architecture.md, "Transcript", has the format.

It is of one moment: what is printed while it is sent is not in it. What falls out of the ring meanwhile is said.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

from codesessions_sidecar.replay.modes import preamble
from codesessions_sidecar.sizes import Size
from codesessions_sidecar.terminal import Terminal

MEDIA_TYPE = "application/vnd.codesessions.transcript.v1"
_PART = 64 << 10


def write(terminal: Terminal) -> Iterator[bytes]:
    """Its parts; the next one may be asked for at any later time."""
    spool, ended = terminal.spool, terminal.exit
    last, oldest = spool.last_seq, spool.oldest_seq
    sizes = spool.sizes.all()
    state = terminal.history.at_oldest()
    first = _size_at(sizes, oldest, terminal.size)
    yield _line(
        format="codesessions-transcript",
        version=1,
        sessionId=terminal.session_id,
        time=time.time_ns(),
        oldestSeq=oldest,
        lastSeq=last,
        rows=first[0],
        cols=first[1],
        preamble=base64.b64encode(preamble(state.modes) + state.tail).decode(),
    )
    changes = [size for size in sizes if size.after >= oldest - 1 and (size.rows, size.columns) != first]
    after = oldest - 1
    while after < last:
        chunks = [chunk for chunk in spool.read(after, _PART) if chunk.seq <= last]
        if not chunks or chunks[0].seq > after + 1:
            gone = chunks[0].seq if chunks else last + 1
            yield _line(type="gap", oldestSeq=gone)
            after = gone - 1
        parts: list[bytes] = []
        for chunk in chunks:
            while changes and changes[0].after < chunk.seq:
                parts.append(_change(changes.pop(0)))
            parts += [
                _line(type="output", seq=chunk.seq, time=chunk.created_ns, bytes=len(chunk.data)),
                chunk.data,
                b"\n",
            ]
            after = chunk.seq
        yield b"".join(parts)
    end = _line(type="end", lastSeq=last, exit=None if ended is None else ended.document())
    yield b"".join((*map(_change, changes), end))


def _size_at(sizes: list[Size], oldest: int, now: tuple[int, int]) -> tuple[int, int]:
    """The size when chunk `oldest` began."""
    before = [size for size in sizes if size.after < oldest]
    size = before[-1] if before else sizes[0] if sizes else None
    return (size.rows, size.columns) if size else now


def _change(size: Size) -> bytes:
    return _line(type="size", time=size.created_ns, rows=size.rows, cols=size.columns)


def _line(**document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
