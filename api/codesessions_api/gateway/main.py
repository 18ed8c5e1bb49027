"""Start the gateway."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

import uvloop
from codesessions_kube.client import connect

from codesessions_api import logs
from codesessions_api.caches import Caches
from codesessions_api.gateway.server import Gateway
from codesessions_api.settings import Settings, SettingsError, read_settings


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await connect() as client:
        caches = Caches(client)
        caches.start()
        origins = frozenset(word.strip() for word in settings.allowed_origins.split(",") if word.strip())
        gateway = Gateway(caches, settings.master_key, origins)
        server = await gateway.serve(*settings.address)
        await stop.wait()
        server.close()
        await gateway.stop()
        await caches.stop()


def main() -> None:
    """Entry point. Exit code 2 for settings that cannot be."""
    epilog = "Settings: CODESESSIONS_LISTEN, _MASTER_KEY_FILE, _ALLOWED_ORIGINS, _LOG_LEVEL, _LOG_FORMAT."
    argparse.ArgumentParser(prog="codesessions-gateway", description="The PTY gateway.", epilog=epilog).parse_args()
    try:
        settings = read_settings("0.0.0.0:8081")
        logs.configure(settings.log_level, settings.log_format)
    except (SettingsError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
