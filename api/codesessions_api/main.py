"""Start the REST API, and leave well."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from codesessions_api.app import Application
from codesessions_api.archivecache import ArchiveCache
from codesessions_api.http11 import HttpProtocol
from codesessions_api.settings import ApiSettings, from_command_line

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s that ingress controllers keep idle connections, so that it is them who close."""
GRACE_SECONDS = 20


class Server(uvicorn.Server):
    """uvicorn, which tells the application at once that it must leave: long polls are answered, not waited for."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._application.leave()
        super().handle_exit(sig, frame)


def configuration(application: Application, address: tuple[str, int]) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        application.asgi,
        host=address[0],
        port=address[1],
        loop="uvloop",
        http=HttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def main() -> None:
    """Entry point. Exit code 2 for settings that cannot be, 3 if it could not start."""
    settings = from_command_line(ApiSettings, "codesessions-api", "The REST API of Code Sessions.")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    application = Application(
        settings.master_key,
        pty_base_url=settings.pty_base_url,
        request_limit=settings.request_limit,
        registry=settings.registry,
        cache=ArchiveCache(Path(settings.cache_dir), settings.cache_bytes),
        rate_limits=settings.rate_limits,
        proxies=settings.proxies,
    )
    server = Server(configuration(application, settings.address), application)
    server.run()
    if not server.started:
        sys.exit(3)


if __name__ == "__main__":
    main()
