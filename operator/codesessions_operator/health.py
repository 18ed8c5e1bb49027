"""/healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """What the operator counts (Prometheus: metric and label naming)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "codesessions_operator"
        self.passes = Counter(f"{prefix}_reconcile", "Passes over a session.", ["result"], registry=self.registry)
        self.seconds = Histogram(f"{prefix}_reconcile_seconds", "Duration of a pass.", registry=self.registry)
        self.queue = Gauge(f"{prefix}_queue_depth", "Sessions that wait for a pass.", registry=self.registry)
        self.leader = Gauge(f"{prefix}_leader", "Whether this process leads.", registry=self.registry)
        self.transcripts = Counter(
            f"{prefix}_transcripts", "Attempts to store a transcript.", ["result"], registry=self.registry
        )
        self.sessions = Gauge(f"{prefix}_sessions", "Sessions by phase.", ["phase"], registry=self.registry)


async def serve(
    address: tuple[str, int], metrics: Metrics, ready: Callable[[], bool], refresh: Callable[[], None]
) -> web.AppRunner:
    """Serve on an address; returns the runner to clean up."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="not yet\n")

    async def show(_: web.Request) -> web.Response:
        refresh()
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", show)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, *address).start()
    return runner
