"""What a launcher says of itself. Untrusted: only what is plausible gets through."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import Any

from codesessions_sidecar.ending import Exit


@dataclass(frozen=True)
class Hello:
    """The first packet of a launcher (docs/architecture.md, "Launcher <-> sidecar").

    `epoch` is the random name of its byte stream, `taken` and `given` count the bytes that ever left and entered it.
    """

    epoch: int
    taken: int
    given: int
    size: tuple[int, int] | None
    ended: Exit | None

    @classmethod
    def read(cls, message: dict[str, Any]) -> Hello | None:
        """From a packet; None if this is no hello."""
        if (message.get("v"), message.get("type")) != (1, "hello"):
            return None
        if message.get("state") not in ("running", "exited"):
            return None
        counts = [message.get(name) for name in ("epoch", "taken", "given")]
        if not all(type(count) is int and 0 <= count < 1 << 63 for count in counts):
            return None
        ended = Exit.read(message) if message["state"] == "exited" else None
        if ended is None and message["state"] == "exited":
            return None
        rows, columns = message.get("rows"), message.get("cols")
        sized = all(type(value) is int and 1 <= value <= 65535 for value in (rows, columns))
        return cls(
            message["epoch"],
            message["taken"],
            message["given"],
            (message["rows"], message["cols"]) if sized else None,
            ended,
        )


def parse(packet: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        found = json.loads(packet)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def stream_socket(descriptor: int) -> socket.socket | None:
    """A handed-over descriptor as a Unix stream socket, or None if it is none; owns it, and closes it then."""
    try:
        held = socket.socket(fileno=descriptor)  # asks the kernel what it is
    except OSError:  # no socket at all
        os.close(descriptor)
        return None
    if (held.family, held.type) == (socket.AF_UNIX, socket.SOCK_STREAM):
        return held
    held.close()
    return None
