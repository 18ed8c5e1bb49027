"""Start the REST API."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from codesessions_api import logs
from codesessions_api.app import make_app
from codesessions_api.settings import SettingsError, read_settings


def main() -> None:
    """Entry point. Exit code 2 for settings that cannot be."""
    epilog = "Settings, from the environment: CODESESSIONS_LISTEN, _MASTER_KEY_FILE, _LOG_LEVEL, _LOG_FORMAT."
    argparse.ArgumentParser(prog="codesessions-api", description="The REST API.", epilog=epilog).parse_args()
    try:
        settings = read_settings("0.0.0.0:8080")
        logs.configure(settings.log_level, settings.log_format)
    except (SettingsError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    host, port = settings.address
    uvicorn.run(
        make_app(settings.master_key),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=20,
    )


if __name__ == "__main__":
    main()
