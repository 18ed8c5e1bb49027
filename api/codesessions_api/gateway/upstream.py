"""The sidecar's side of a splice: a connection to it, after its handshake."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass

from codesessions_api.gateway.handshake import Handshake, chosen_protocol, for_sidecar

CONNECT_SECONDS = 5.0
RETRY_SECONDS = 2.0
"""A sidecar that was killed is back within a second; till then its port refuses connections."""
READ_AHEAD = 32 << 10
RECEIVE_BUFFER = 64 << 10
"""Small, as what waits in it is stale when somebody presses Ctrl-C."""
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A node that went away without a word is noticed after 50 s (tcp(7)); not every system has all three."""


class UnreachableError(Exception):
    """There is no terminal now."""


@dataclass(frozen=True)
class Upstream:
    """An open connection and the subprotocol that was chosen."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: str | None


async def open_upstream(request: Handshake, address: tuple[str, int], ticket: str) -> Upstream:
    """Connect and shake hands. Raises UnreachableError, and Problem 400 if the sidecar does not like the request."""
    writer = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await _connect(address)
            host = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
            writer.write(for_sidecar(request, host, ticket))
            answer = await reader.readuntil(b"\r\n\r\n")
        return Upstream(reader, writer, chosen_protocol(request, answer))
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        if writer is not None:
            writer.transport.abort()
        raise UnreachableError(repr(error)) from error
    except BaseException:
        if writer is not None:
            writer.transport.abort()
        raise


async def _connect(address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    give_up, pause = loop.time() + RETRY_SECONDS, 0.02
    while True:
        made = _socket(address[0])
        try:
            await loop.sock_connect(made, address)
            return await asyncio.open_connection(sock=made, limit=READ_AHEAD)
        except ConnectionRefusedError:
            made.close()
            if loop.time() + pause > give_up:
                raise
        except BaseException:
            made.close()
            raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.2)


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    made.setblocking(False)
    return made
