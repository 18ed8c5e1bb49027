"""`v5.channel.k8s.io` and `v4.channel.k8s.io`: what clients of `kubectl exec` and `attach` speak (KEP-4006).

A message is a channel's number, one byte, and data: 0 stdin, 1 stdout, 2 stderr, 3 status, 4 size. In v5 the number 255
with a channel's number closes that channel. A terminal has no stderr of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from codesessions_sidecar.dialects.base import (
    POLICY_VIOLATION,
    Dialect,
    EndOfInput,
    Message,
    Opening,
    Order,
    RefusedError,
    Type,
    read_json,
    resize_of,
)
from codesessions_sidecar.ending import Exit
from codesessions_sidecar.spool import Chunk

_STDIN, _STDOUT, _STATUS, _SIZE, _CLOSE = 0, 1, 3, 4, 255
_V5 = "v5.channel.k8s.io"


class Channel(Dialect):
    """Everything out is binary; in, text or binary."""

    name = "channel"
    subprotocols = (_V5, "v4.channel.k8s.io")

    def orders(self, message: Message) -> list[Order]:
        if not message.data:
            return []
        channel, data = message.data[0], message.data[1:]
        if channel == _STDIN:
            return [Type(data)] if data else []
        if channel == _SIZE:
            return _size(data)
        if channel == _CLOSE and not message.text and self.subprotocol == _V5 and data == bytes((_STDIN,)):
            return [EndOfInput()]
        return []  # channels that are not the client's to write, as the kubelet has it

    def opening(self, opening: Opening) -> list[Message]:
        return [Message(False, bytes((_STDOUT,)))]  # the kubelet's sign that the way is open

    def output(self, chunks: Sequence[Chunk]) -> list[Message]:
        return [Message(False, b"".join((bytes((_STDOUT,)), *(chunk.data for chunk in chunks))))]

    def ended(self, ending: Exit) -> list[Message]:
        return [Message(False, bytes((_STATUS,)) + json.dumps(_status(ending)).encode())]


def _status(ending: Exit) -> dict[str, object]:
    """A `Status` of the Kubernetes API, as an exec ends with; a signal is 128 and its number."""
    code = ending.code if ending.code is not None else 128 + (ending.signal or 0)
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        "code": 500,
    }


def _size(data: bytes) -> list[Order]:
    found = read_json(data)
    if not isinstance(found, dict):
        raise RefusedError(POLICY_VIOLATION, 'a size is {"Width": 80, "Height": 24}')
    sides = {str(name).lower(): value for name, value in found.items()}  # as Go reads it
    return resize_of(sides.get("height"), sides.get("width"))
