"""Old output for one viewer's screen: what to send before it, what to send of it, and what behind it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from codesessions_sidecar.replay import grammar
from codesessions_sidecar.replay.modes import MAX_TAIL, Tracker, preamble, reporting
from codesessions_sidecar.replay.queries import QueryFilter
from codesessions_sidecar.spool import Chunk

_CAN = b"\x18"
_REST_OF_CHARACTER = re.compile(rb"\A[\x80-\xbf]{1,3}")


class Show:
    """From one place of the log to where live output begins (`live_after`)."""

    def __init__(self, live_after: int) -> None:
        self._live_after = live_after
        self._filter = QueryFilter()
        self._first = self._ended = False

    def on_screen(self, state: Tracker, *, reset: bool) -> bytes:
        """What to send first to a screen that is blank, or (`reset`) in a state that nobody knows."""
        self._filter.modes_on = reporting(state.modes)
        self._first = True
        begun = b""
        if len(state.tail) < MAX_TAIL:
            begun = self._filter.feed(state.tail)
        else:
            self._filter.drop(grammar.split(state.tail)[0])
        return preamble(state.modes, reset=reset) + begun

    def resumed(self, state: Tracker) -> bytes:
        """What to send first to a screen that shows everything before: the end of what may be half there."""
        kept = self._filter.feed(state.tail)
        return _CAN if state.tail and not kept else b""

    def chunks(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Chunks as they are to be shown, with their numbers."""
        return [Chunk(chunk.seq, self._one(chunk), chunk.created_ns) for chunk in chunks]

    def _one(self, chunk: Chunk) -> bytes:
        data = chunk.data
        if self._first:
            data, self._first = _REST_OF_CHARACTER.sub(b"", data), False
        if chunk.seq > self._live_after:
            return self.end() + self._filter.live(data)
        shown = self._filter.feed(data)
        return shown + self.end() if chunk.seq == self._live_after else shown

    def end(self) -> bytes:
        """What to send when nothing old is left."""
        if self._ended:
            return b""
        self._ended = True
        return self._filter.finish()

    @property
    def over(self) -> bool:
        """Whether what comes now goes out untouched."""
        return self._ended and not self._filter.dropping
