"""Text of bytes that come in parts."""

from __future__ import annotations

import codecs


class Decoder:
    """UTF-8 to text; what is none becomes U+FFFD. A character that was cut in two is put together."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, data: bytes) -> str:
        """What is whole by now."""
        return self._decoder.decode(data)

    def rest(self) -> str:
        """What is left at the end."""
        return self._decoder.decode(b"", final=True)
