"""What a launcher says of itself. Untrusted: only what is plausible gets through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from codesessions_sidecar.ending import Exit


@dataclass(frozen=True)
class Hello:
    """The first packet of a launcher (docs/architecture.md, "Launcher <-> sidecar").

    `epoch` is the random name of the pipes that it hands over.
    """

    epoch: int
    ended: Exit | None

    @classmethod
    def read(cls, message: dict[str, Any]) -> Hello | None:
        """From a packet; None if this is no hello."""
        if (message.get("v"), message.get("type")) != (2, "hello"):
            return None
        if message.get("state") not in ("running", "exited"):
            return None
        epoch = message.get("epoch")
        if type(epoch) is not int or not 0 <= epoch < 1 << 63:
            return None
        ended = Exit.read(message) if message["state"] == "exited" else None
        if ended is None and message["state"] == "exited":
            return None
        return cls(epoch, ended)


def parse(packet: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        found = json.loads(packet)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
