"""Where a run of bytes can be cut so that no character is (UTF-8, RFC 3629)."""

from __future__ import annotations


def incomplete_tail(data: bytes) -> int:
    """How many bytes at the end begin a character that is not all there, 0 to 3."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if back >= length or not _may_begin(data[-back:]):
                return 0
            return back
    return 0


def _may_begin(part: bytes) -> bool:
    """Whether some continuation makes `part` valid: the decoder knows, incomplete is not the same as wrong."""
    try:
        part.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False


def decode(data: bytes) -> str:
    """Text of bytes; what is no UTF-8 becomes U+FFFD."""
    return data.decode("utf-8", "replace")


def is_text(data: bytes) -> bool:
    """Whether this is UTF-8 from its first byte to its last."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
