"""WebSocket frames as far as a splice must know them (RFC 6455, section 5.2): where they end, and a close."""

from __future__ import annotations

import base64
import hashlib
import struct

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CLOSE = 8


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept of a Sec-WebSocket-Key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - the RFC's choice


def close_frame(code: int, reason: str) -> bytes:
    """An unmasked close frame; the reason is cut to what fits."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return bytes((0x80 | _CLOSE, 2 + len(text))) + struct.pack(">H", code) + text


class FrameScanner:
    """Follows a stream of frames and knows where one ends and the next begins. It reads heads, never payloads.

    A control frame may stand between any two frames, also amid a message (section 5.4): so a close may too.
    """

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.closed = False
        """Whether a close frame went by."""

    @property
    def at_boundary(self) -> bool:
        """Whether no frame is half through."""
        return not self._head and not self._left

    def feed(self, data: bytes) -> None:
        """Follow some bytes."""
        place = 0
        while place < len(data):
            place = self._step(data, place)

    def feed_to_boundary(self, data: bytes) -> int:
        """Follow bytes up to the end of the frame that is half through; returns how many those are."""
        place = 0
        while place < len(data) and not self.at_boundary:
            place = self._step(data, place)
        return place

    def _step(self, data: bytes, place: int) -> int:
        """Follow the rest of a payload, or a head; returns the place after it."""
        if self._left:
            step = min(self._left, len(data) - place)
            self._left -= step
            return place + step
        known = len(self._head)
        head = self._head + data[place : place + 10 - known]
        used = self._take_head(head)
        self._head = head if used is None else b""
        return len(data) if used is None else place + used - known

    def _take_head(self, head: bytes) -> int | None:
        """Take a frame's head; how long it is without the mask, or None if it is not all there."""
        if len(head) < 2:
            return None
        size, masked = head[1] & 0x7F, bool(head[1] & 0x80)
        length = 2 + {126: 2, 127: 8}.get(size, 0)
        if len(head) < length:
            return None
        if size >= 126:
            size = int.from_bytes(head[2:length], "big")
        self._left = size + (4 if masked else 0)
        self.closed = self.closed or head[0] & 0x0F == _CLOSE
        return length
