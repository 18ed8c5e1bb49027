"""Start, serve, and leave when told."""

from __future__ import annotations

import sys

# Both are optional to the standard library, which then uses its own SHA-2; OpenSSL would cost 8 MiB a session.
for optional in ("ssl", "_hashlib"):
    sys.modules.setdefault(optional, None)  # type: ignore[arg-type]

import asyncio  # noqa: E402
import contextlib  # noqa: E402
import signal  # noqa: E402

from codesessions_sidecar.folders import FolderBusyError, lock  # noqa: E402
from codesessions_sidecar.log import log  # noqa: E402
from codesessions_sidecar.server import Server  # noqa: E402
from codesessions_sidecar.settings import HELP, Settings, SettingsError, read_settings  # noqa: E402
from codesessions_sidecar.terminal import Terminal  # noqa: E402

_LOCK_SECONDS = 20.0
_RESTARTING = 1012  # WebSocket close code "service restart" (IANA registry)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM; longer if the shell ended by itself or somebody asked for it, to have its output read.

    A release or a second SIGTERM cuts that short.
    """
    terminal = Terminal(
        settings.run_dir, settings.data_dir, settings.spool_bytes, settings.session_id, over=settings.archive
    )
    server = Server(settings, terminal)
    told = asyncio.Event()

    def on_signal() -> None:
        (terminal.released if told.is_set() else told).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    port = await server.start()
    if not settings.archive:
        terminal.start()
    log("listening", port=port, lastSeq=terminal.spool.last_seq)
    await told.wait()
    ended = terminal.exit
    by_itself = ended is not None and not ended.terminated
    linger = settings.linger_seconds if (by_itself or terminal.held) and not settings.archive else 0
    log("stopping", linger=linger)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(linger):
            await terminal.released.wait()
    ended = terminal.exit
    await server.stop(_RESTARTING if ended is None else 1000, "restarting" if ended is None else str(ended))
    terminal.close()


def main() -> None:
    """Entry point; `settings.HELP` says what it does and how it exits."""
    if len(sys.argv) > 1:
        sys.stdout.write(HELP)
        sys.exit(0 if sys.argv[1:] in (["--help"], ["-h"]) else 2)
    try:
        settings = read_settings()
        lock(settings.data_dir, seconds=_LOCK_SECONDS)
        asyncio.run(serve(settings))
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except (OSError, FolderBusyError) as error:
        log("cannot-serve", error=str(error))
        sys.exit(1)
