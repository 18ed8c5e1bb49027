"""How a pass over a session can fail to do what it wants; each says what comes of it."""

from __future__ import annotations


class WaitingError(Exception):
    """Something is in the way that may go away: say so, and try again."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class StalledError(WaitingError):
    """Something is in the way that only a person can take away: the session fails and says so."""
