"""How much an archive may hold. Plain classes here and in `walk`: `dataclasses` costs the process 3 MiB."""

from __future__ import annotations


class Limits:
    """Sizes in bytes, before compression."""

    __slots__ = ("depth", "entries", "file", "path", "total")

    def __init__(
        self,
        *,
        entries: int = 50_000,
        file: int = 512 << 20,
        total: int = 2 << 30,
        path: int = 1024,
        depth: int = 64,
    ) -> None:
        self.entries, self.file, self.total, self.path, self.depth = entries, file, total, path, depth
