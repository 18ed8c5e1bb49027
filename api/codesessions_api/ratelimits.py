"""How often a key may call, and how often an address may show none that is good: buckets that fill again.

A limit is `requests` in `seconds`: so many at once, and then as they come back, one every `seconds / requests`. A
bucket is one number, the moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371), so
taking from it costs no more than looking it up. Buckets are this process's own: with N replicas a key has up to N
times as much. The headers are those of draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from codesessions_api.auth import Caller
from codesessions_api.problems import Problem

READS, WRITES, CREATES, STRANGERS = "reads", "writes", "creates", "unauthenticated"
MOST_BUCKETS = 20_000
"""Kept at a time, about 4 MB; those that are full again go first, and are none the worse for it."""
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in so many seconds."""

    name: str
    requests: int
    seconds: int
    policy: tuple[bytes, bytes] = field(init=False, compare=False)
    """The header RateLimit-Policy."""

    def __post_init__(self) -> None:
        text = f'"{self.name}";q={self.requests};w={self.seconds}'
        object.__setattr__(self, "policy", (b"ratelimit-policy", text.encode()))


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking: whether one was there, how many are left, seconds until all are and until the next is."""

    allowed: bool
    left: int
    full_in: float
    next_in: float


class Buckets:
    """Buckets by anything that can be a key of a dictionary."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, limit: Limit, now: float) -> Taken:
        """Take one at time `now` (seconds, monotonic)."""
        each = limit.seconds / limit.requests
        full_at = self._full_at.get(key, now)
        full_at = min(max(full_at, now), now + limit.seconds)  # the limit may have been another
        over = full_at + each - now - limit.seconds
        if over > 1e-9:
            return Taken(False, 0, full_at - now, over)
        self._full_at[key] = full_at = full_at + each
        if len(self._full_at) > self._most:
            self._forget(now)
        return Taken(True, int((limit.seconds - (full_at - now)) / each + 1e-6), full_at - now, 0.0)

    def _forget(self, now: float) -> None:
        """Make room: the full ones go, then those that are nearest to it."""
        waiting = sorted((moment, key) for key, moment in self._full_at.items() if moment > now)
        self._full_at = {key: moment for moment, key in waiting[-self._most // 2 :]}


class RateLimits:
    """The limits of a process. One that is not in `limits` does not hold; an APIKey may name its own."""

    def __init__(self, limits: Mapping[str, Limit], clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._keys, self._addresses = Buckets(), Buckets()

    def take(self, caller: Caller, name: str) -> Headers:
        """Count a request of a caller; returns the headers that say how it stands.

        Raises Problem 429, whose headers say so too.
        """
        own = caller.rate_limits.get(name) if caller.rate_limits else None
        limit = self._limits.get(name) if own is None else _own(name, own.get("requests"), own.get("seconds"))
        if limit is None:
            return ()
        taken = self._keys.take((caller.namespace, caller.key_name, name), limit, self._clock())
        if not taken.allowed:
            where = "its APIKey" if own is not None else "this installation"
            detail = f"This API key may make {limit.requests} {name} in {limit.seconds} s, as {where} has it."
            raise _refused(limit, taken, detail)
        return _headers(limit, taken)

    def stranger(self, address: str) -> None:
        """Count a request from an address that showed no good key. Raises Problem 429 if there were too many."""
        limit = self._limits.get(STRANGERS)
        if limit is None:
            return
        taken = self._addresses.take(address, limit, self._clock())
        if not taken.allowed:
            raise _refused(limit, taken, "Too many requests without a good API key come from this address.")


def _whole(seconds: float) -> int:
    """Rounded up, but not for the rest of a subtraction."""
    return math.ceil(seconds - 1e-6)


def _headers(limit: Limit, taken: Taken) -> Headers:
    state = f'"{limit.name}";r={taken.left};t={_whole(taken.full_in)}'
    return limit.policy, (b"ratelimit", state.encode())


def _refused(limit: Limit, taken: Taken, detail: str) -> Problem:
    wait = max(1, _whole(taken.next_in))
    more = {name.decode(): value.decode() for name, value in _headers(limit, taken)}
    return Problem(429, "rate_limited", f"{detail} Try again in {wait} s.", headers={"Retry-After": str(wait), **more})


@lru_cache(1024)
def _own(name: str, requests: Any, seconds: Any) -> Limit | None:
    """A limit as an APIKey has it; None for what the API server would not have let in."""
    if not all(type(value) is int and value > 0 for value in (requests, seconds)):
        return None
    return Limit(name, requests, seconds)
