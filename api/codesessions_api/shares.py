"""That one organisation leaves room for the others: of what can be held at a time it gets three quarters at most."""

from __future__ import annotations

from collections import Counter

from codesessions_api.problems import try_again


class Shares:
    """Counts what is held for each organisation, by its namespace. `limit`: for all together."""

    def __init__(self, limit: int) -> None:
        self._most = max(1, limit * 3 // 4)
        self._held: Counter[str] = Counter()

    def enter(self, namespace: str) -> None:
        """One more. Raises Problem 503 if the organisation has its share; then it does not count."""
        if self._held[namespace] >= self._most:
            detail = f"This organisation has {self._most} requests open here, and the rest is for others."
            raise try_again(503, "overloaded", detail)
        self._held[namespace] += 1

    def leave(self, namespace: str) -> None:
        """One less."""
        self._held[namespace] -= 1
        if not self._held[namespace]:
            del self._held[namespace]
