"""WebSocket frames as far as a splice must know them (RFC 6455, section 5.2): where they end, and a close."""

from __future__ import annotations

import base64
import hashlib
import struct

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept of a Sec-WebSocket-Key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - the RFC's choice


def close_frame(code: int, reason: str) -> bytes:
    """An unmasked close frame; the reason is cut to what fits."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return bytes((0x88, 2 + len(text))) + struct.pack(">H", code) + text


class FrameScanner:
    """Follows a stream of unmasked frames and knows whether it stands between two of them."""

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
        while data:
            if self._left:
                step = min(self._left, len(data))
                self._left -= step
                data = data[step:]
                continue
            head = self._head + data[:10]
            used = self._length_of_head(head)
            if used is None:
                self._head = head
                return
            data = data[used - len(self._head) :]
            self._head = b""

    def _length_of_head(self, head: bytes) -> int | None:
        """Take a frame's head; how long it is, or None if it is not all there."""
        if len(head) < 2:
            return None
        size, masked = head[1] & 0x7F, bool(head[1] & 0x80)
        length = 2 + {126: 2, 127: 8}.get(size, 0)
        if len(head) < length:
            return None
        if size >= 126:
            size = int.from_bytes(head[2:length], "big")
        self._left = size + (4 if masked else 0)
        self.closed = self.closed or head[0] & 0x0F == 8
        return length
