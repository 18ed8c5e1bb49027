"""WebSocket's frames (RFC 6455, section 5.2) as they nearly always are; the rare ones are left to the library."""

from __future__ import annotations

import struct

from codesessions_sidecar.dialects.base import Message

_TEXT, _BINARY = 0x81, 0x82
_WHOLE = frozenset((_TEXT, _BINARY))
"""First bytes of a message in one frame: FIN, no extension."""
_HEADS = {size: bytes((size,)) for size in range(126)}
MASKED_HEAD = 6
"""Bytes before the payload of a client's frame of up to 125 bytes: opcode, length, mask."""
_UNMASKED = bytes(4)


def frame(message: Message) -> bytes:
    """A server's frame that is the whole message."""
    first, size = b"\x81" if message.text else b"\x82", len(message.data)
    if size < 126:
        head = _HEADS[size]
    elif size < 1 << 16:
        head = struct.pack("!BH", 126, size)
    else:
        head = struct.pack("!BQ", 127, size)
    return b"".join((first, head, message.data))


def only_message(data: bytes | memoryview) -> Message | None:
    """The client's message that this is, if it is one short one in one frame, exactly; None for all else."""
    size = len(data) - MASKED_HEAD
    if not 0 <= size < 126 or data[1] != 0x80 + size or data[0] not in _WHOLE:
        return None
    frame = bytes(data)
    mask, payload = frame[2:MASKED_HEAD], frame[MASKED_HEAD:]
    if mask != _UNMASKED and payload:
        key = (mask * (size // 4 + 1))[:size]
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return Message(frame[0] == _TEXT, payload)


def masked_length(size: int) -> int:
    """Bytes on the wire of a client's frame with so much payload, at least."""
    return size + (6 if size < 126 else 8 if size < 1 << 16 else 14)
