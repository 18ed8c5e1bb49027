"""Who is attached: the size that fits all of them, and the figures for metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Size = tuple[int, int]
"""Rows and columns."""


def smallest(sizes: Iterable[Size]) -> Size | None:
    """The largest screen that fits into every one of these; None if there are none."""
    known = list(sizes)
    return (min(rows for rows, _ in known), min(columns for _, columns in known)) if known else None


@dataclass(eq=False)
class Seat:
    """A viewer, as the others and the metrics see it. `after`: the last chunk it was sent."""

    dialect: str
    writes: bool
    after: int = 0
    size: Size | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    """Of messages, without WebSocket's own."""


class Viewers:
    """All seats. `resize` sets the terminal's size; `changed` is called when somebody comes or goes."""

    def __init__(self, resize: Callable[[int, int], None], changed: Callable[[], None]) -> None:
        self._resize, self._changed = resize, changed
        self.seats: set[Seat] = set()
        self.company = 0, 0
        """How many are attached, and how many of them may type."""
        self.attached: Counter[str] = Counter()
        self._left_in: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self.truncated: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        """Viewers that ended in another way than by their own wish or the shell's end, by reason."""

    def __len__(self) -> int:
        return len(self.seats)

    @property
    def writers(self) -> int:
        """How many may type."""
        return self.company[1]

    def by_dialect(self) -> Counter[str]:
        """How many are attached, by dialect; 0 for one that was."""
        return Counter({**dict.fromkeys(self.attached, 0), **Counter(seat.dialect for seat in self.seats)})

    @property
    def bytes_in(self) -> Counter[str]:
        """Bytes of all messages that ever came, by dialect."""
        return sum((Counter({seat.dialect: seat.bytes_in}) for seat in self.seats), self._left_in)

    @property
    def bytes_out(self) -> Counter[str]:
        """Bytes of all messages that were ever sent, by dialect."""
        return sum((Counter({seat.dialect: seat.bytes_out}) for seat in self.seats), self._left_out)

    def enter(self, seat: Seat) -> None:
        """Somebody has come."""
        self.seats.add(seat)
        self._count()
        self.attached[seat.dialect] += 1
        self._changed()

    def leave(self, seat: Seat) -> None:
        """Somebody has gone; the others may have more room now."""
        self.seats.discard(seat)
        self._left_in[seat.dialect] += seat.bytes_in
        self._left_out[seat.dialect] += seat.bytes_out
        self._count()
        if seat.size is not None:
            self._fit()
        self._changed()

    def _count(self) -> None:
        self.company = len(self.seats), sum(seat.writes for seat in self.seats)

    def resize(self, seat: Seat, size: Size) -> None:
        """A writer's screen has this size; one who only looks on has no say."""
        if seat.writes:
            seat.size = size
            self._fit()

    def _fit(self) -> None:
        size = smallest(seat.size for seat in self.seats if seat.size is not None)
        if size is not None:
            self._resize(*size)
