"""Transcripts on disk: so many bytes at most, the one that was not used for longest goes first."""

from __future__ import annotations

import asyncio
import os
import shutil
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from codesessions_transcript.archive import Archive

MOST_OPEN = 256


class TooLargeError(Exception):
    """It would not fit if nothing else were there."""


@dataclass
class _Entry:
    archive: Archive
    size: int


class ArchiveCache:
    """Opened transcripts by session and digest. The folder is its own: what a predecessor left is removed."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._coming: dict[tuple[str, str], asyncio.Lock] = {}
        self._reserved = 0
        shutil.rmtree(folder, ignore_errors=True)

    @property
    def size(self) -> int:
        """Bytes on disk, and those on their way there."""
        return sum(entry.size for entry in self._entries.values()) + self._reserved

    def get(self, session: str, digest: str) -> Archive | None:
        """One that is there."""
        entry = self._entries.get((session, digest))
        if entry is None:
            return None
        self._entries.move_to_end((session, digest))
        return entry.archive

    async def add(self, session: str, digest: str, size: int, content: AsyncIterator[bytes]) -> Archive:
        """Store what is read from `content`, which must check it; many callers at once fetch it once.

        Raises TooLargeError, TranscriptError, OSError, and what `content` raises.
        """
        key = (session, digest)
        lock = self._coming.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self.get(session, digest)
                if known is not None:
                    return known
                entry = await self._store(key, size, content)
                self._entries[key] = entry
                return entry.archive
        finally:
            if not lock.locked():
                self._coming.pop(key, None)

    async def _store(self, key: tuple[str, str], size: int, content: AsyncIterator[bytes]) -> _Entry:
        self._make_room(size)
        self._reserved += size
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{key[0]}.{os.urandom(4).hex()}"
        file = path.open("w+b")
        try:
            path.unlink()  # nobody else needs its name, and it goes with this process
            async for part in content:
                await asyncio.to_thread(file.write, part)
            file.flush()
            archive = await asyncio.to_thread(Archive, file)
        except BaseException:
            file.close()
            raise
        finally:
            self._reserved -= size
        weakref.finalize(archive, file.close)  # whoever still reads it may go on
        return _Entry(archive, size)

    def _make_room(self, size: int) -> None:
        if size > self._limit:
            raise TooLargeError(f"{size} bytes do not fit into a cache of {self._limit}")
        while self._entries and (self.size + size > self._limit or len(self._entries) >= MOST_OPEN):
            self._entries.popitem(last=False)

    def close(self) -> None:
        """Let go of all of it."""
        self._entries.clear()
