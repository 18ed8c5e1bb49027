"""What the API counts (Prometheus: metric and label naming)."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from codesessions_api.caches import Caches

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"})


class Metrics:
    """Requests by route and status, and how old the caches are. Held requests count with the time they were held."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "codesessions_api"
        names = ["method", "route", "status"]
        self._requests = Counter(f"{prefix}_requests", "Requests.", names, registry=self.registry)
        self._seconds = Histogram(
            f"{prefix}_request_seconds", "Duration.", ["method", "route"], buckets=_BUCKETS, registry=self.registry
        )
        self.held = Gauge(f"{prefix}_requests_in_flight", "Requests that are being served.", registry=self.registry)
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[tuple[str, str], Histogram] = {}

    def watch(self, caches: Caches) -> None:
        """Show the caches' age too."""
        text = "For how long changes may have been missed."
        stale = Gauge("codesessions_api_cache_stale_seconds", text, ["kind"], registry=self.registry)
        sessions = Gauge("codesessions_api_sessions", "Sessions that are known.", registry=self.registry)
        sessions.set_function(lambda: len(caches.sessions.items()))
        for cache in caches.all:
            kind = cache.kind.plural
            stale.labels(kind).set_function(partial(_age, caches, kind))

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is a template, so that there are few."""
        method = method if method in _METHODS else "other"
        counter = self._counters.get((method, route, status))
        if counter is None:
            counter = self._counters[method, route, status] = self._requests.labels(method, route, str(status))
        timer = self._timers.get((method, route))
        if timer is None:
            timer = self._timers[method, route] = self._seconds.labels(method, route)
        counter.inc()
        timer.observe(seconds)


def _age(caches: Caches, kind: str) -> float:
    return caches.stale_seconds()[kind]
