"""Start the gateway, and leave well."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import uvloop
from codesessions_kube.client import KubeClient, connect
from codesessions_kube.store import Key

from codesessions_api.caches import Caches
from codesessions_api.gateway.server import Gateway
from codesessions_api.settings import GatewaySettings, from_command_line


async def serve(settings: GatewaySettings, client: KubeClient, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain."""
    gateways: list[Gateway] = []

    def key_changed(key: Key) -> None:
        for each in gateways:
            each.key_changed(key)

    def session_changed(key: Key) -> None:
        for each in gateways:
            each.session_changed(key)

    caches = Caches(client, key_changed=key_changed, session_changed=session_changed)
    gateway = Gateway(
        caches,
        settings.master_key,
        origins=settings.origins,
        limit=settings.connection_limit,
        web=Path(settings.web_dir) if settings.web_dir else None,
        rate_limits=settings.rate_limits,
        proxies=settings.proxies,
    )
    gateways.append(gateway)
    caches.start()
    server = await gateway.serve(*settings.address)
    try:
        await stop.wait()
    finally:
        server.close()
        await gateway.stop(settings.drain)
        await caches.stop()


async def run(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        await serve(settings, await stack.enter_async_context(await connect()), stop)


def main() -> None:
    """Entry point. Exit code 2 for settings that cannot be."""
    settings = from_command_line(
        GatewaySettings, "codesessions-gateway", "The PTY gateway of Code Sessions: WebSockets to terminals."
    )
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
