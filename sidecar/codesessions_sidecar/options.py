"""What a client may say in the query of `/v1/attach`."""

from __future__ import annotations

from dataclasses import dataclass, field

from codesessions_sidecar.dialects import BY_NAME
from codesessions_sidecar.http import Request, number, one_of
from codesessions_sidecar.journal import NOBODY
from codesessions_sidecar.routes import writer_of
from codesessions_sidecar.tickets import WRITE, Ticket

LEAST_WINDOW, MOST_WINDOW = 4 << 10, 16 << 20
"""Bytes that may be on their way unacknowledged."""
_ROLES = ("writer", "viewer")
_REPLAYS = ("screen", "resume", "raw")


@dataclass(frozen=True)
class Options:
    """`after`: None for the last screens. `window`: None for no acknowledgements. `writer`: whose inputSeq it is."""

    after: int | None = None
    dialect: str | None = None
    role: str = "writer"
    window: int | None = None
    raw: bool = False
    writer: int = NOBODY
    replay: str | None = None
    """`screen`: for a blank screen; `resume`: for one that shows all before; `raw`: as it is. None: by `after`."""


@dataclass(frozen=True)
class Visitor:
    """Who comes, and what for."""

    session_id: str
    ticket: Ticket
    options: Options
    trace: dict[str, str] = field(default_factory=dict)
    """Ids of the request, as a line of the log has them."""

    @property
    def writes(self) -> bool:
        """Whether they may type and size."""
        return WRITE in self.ticket.scope and self.options.role == "writer"


def read_options(request: Request) -> Options:
    """From a request's query. Raises HttpError 400."""
    query = request.query
    return Options(
        after=number(request, "afterSeq", 0, 2**63 - 1) if "afterSeq" in query else None,
        dialect=one_of(request, "dialect", tuple(BY_NAME)),
        role=one_of(request, "role", _ROLES) or "writer",
        window=number(request, "window", 0, MOST_WINDOW, least=LEAST_WINDOW) if "window" in query else None,
        raw=one_of(request, "raw", ("binary",)) is not None,
        writer=writer_of(request),
        replay=one_of(request, "replay", _REPLAYS),
    )
