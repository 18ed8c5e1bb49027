"""How a shell ended."""

from __future__ import annotations

from dataclasses import dataclass

_SIGNAL, _TERMINATED = 1 << 12, 1 << 16


@dataclass(frozen=True)
class Exit:
    """By exit code (0 to 255), or by signal (1 to 64). `terminated`: somebody told the launcher to end it."""

    code: int | None
    signal: int | None
    terminated: bool = False

    @classmethod
    def read(cls, message: dict[str, object]) -> Exit | None:
        """From what a launcher says; None if that is no way to end."""
        code, signal = message.get("code"), message.get("signal")
        terminated = message.get("terminated") is True
        if type(code) is int and 0 <= code <= 255 and signal is None:
            return cls(code, None, terminated)
        if type(signal) is int and 1 <= signal <= 64 and code is None:
            return cls(None, signal, terminated)
        return None

    def pack(self) -> int:
        """As one number, never 0."""
        value = 1 + self.code if self.code is not None else _SIGNAL + (self.signal or 0)
        return value + (_TERMINATED if self.terminated else 0)

    @classmethod
    def unpack(cls, value: int) -> Exit | None:
        """The inverse of `pack`; None for 0."""
        terminated, value = value >= _TERMINATED, value % _TERMINATED
        if value == 0:
            return None
        return cls(None, value - _SIGNAL, terminated) if value > _SIGNAL else cls(value - 1, None, terminated)

    def __str__(self) -> str:
        """The reason of a close frame: `exit 7` or `signal 9`."""
        return f"exit {self.code}" if self.signal is None else f"signal {self.signal}"

    def document(self) -> dict[str, int | None]:
        """As the API shows it."""
        return {"code": self.code, "signal": self.signal}
