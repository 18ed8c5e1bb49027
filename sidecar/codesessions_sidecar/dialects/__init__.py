"""The dialects of the attach endpoint, and which one a client gets. docs/terminal.md shows their messages."""

from __future__ import annotations

from collections.abc import Sequence

from codesessions_sidecar.dialects.base import Dialect
from codesessions_sidecar.dialects.channel import Channel
from codesessions_sidecar.dialects.codesessions_v1 import CodesessionsV1
from codesessions_sidecar.dialects.raw import Raw
from codesessions_sidecar.dialects.terminado import Terminado
from codesessions_sidecar.dialects.ttyd import Ttyd

ALL: tuple[type[Dialect], ...] = (Raw, Ttyd, Channel, Terminado, CodesessionsV1)
BY_NAME = {dialect.name: dialect for dialect in ALL}
BY_SUBPROTOCOL = {subprotocol: dialect for dialect in ALL for subprotocol in dialect.subprotocols}


def choose(offered: Sequence[str], wanted: str | None, *, raw: bool = False) -> Dialect:
    """The first subprotocol offered that is known, unless `wanted` names a dialect (of `BY_NAME`); without either, raw.

    Only a subprotocol of the chosen dialect is ever answered: a browser checks.
    """
    if wanted is not None:
        dialect = BY_NAME[wanted]
        return dialect(next((each for each in offered if each in dialect.subprotocols), None), raw=raw)
    known = next((each for each in offered if each in BY_SUBPROTOCOL), None)
    return BY_SUBPROTOCOL[known](known, raw=raw) if known is not None else Raw(raw=raw)
