"""Start, serve, and leave when told."""

from __future__ import annotations

import sys

# Both are optional to the standard library, which then uses its own SHA-2; OpenSSL would cost 8 MiB a session.
for optional in ("ssl", "_hashlib"):
    sys.modules.setdefault(optional, None)  # type: ignore[arg-type]

import asyncio  # noqa: E402
import signal  # noqa: E402

from codesessions_sidecar.log import log  # noqa: E402
from codesessions_sidecar.server import Server  # noqa: E402
from codesessions_sidecar.settings import Settings, SettingsError, read_settings  # noqa: E402
from codesessions_sidecar.terminal import Terminal  # noqa: E402


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM; if the shell ended by itself, a little longer, so that its last output can be read."""
    terminal = Terminal(settings.run_dir, settings.data_dir, settings.spool_bytes)
    server = Server(settings, terminal)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = await server.start()
    terminal.start()
    log("listening", port=port, lastSeq=terminal.spool.last_seq)
    await stop.wait()
    ended = terminal.exit
    by_itself = ended is not None and ended.code is not None
    log("stopping", linger=settings.linger_seconds if by_itself else 0)
    if by_itself:
        await asyncio.sleep(settings.linger_seconds)
    if ended is not None:
        await server.stop(1000, f"exit {ended.code}" if ended.signal is None else f"signal {ended.signal}")
    else:
        await server.stop(1012, "restarting")
    terminal.close()


def main() -> None:
    """Entry point. Exit code 2 for settings that cannot be."""
    try:
        settings = read_settings()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    asyncio.run(serve(settings))
