"""A terminal's WebSocket, as the tests use it: through the ingress and the gateway, at `ptyEndpoint`."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from typing import Any

from codesessions_dev.envfile import Access
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

OURS = "codesessions.v1"


async def attach(
    access: Access,
    endpoint: str,
    *protocols: str,
    query: str = "",
    key: str | None = None,
    headers: dict[str, str] | None = None,
) -> ClientConnection:
    """Open it. Raises InvalidStatus for an HTTP refusal."""
    url = endpoint.replace("https://", "wss://") + (f"?{query}" if query else "")
    sent = {"X-API-Key": access.api_key if key is None else key, **(headers or {})}
    offered: Sequence[Subprotocol] | None = [Subprotocol(each) for each in protocols] or None
    return await connect(
        url,
        ssl=ssl.create_default_context(cafile=str(access.ca)),
        subprotocols=offered,
        additional_headers={name: value for name, value in sent.items() if value},
        compression=None,
        max_size=None,
        proxy=None,
        open_timeout=60,
    )


async def read_until(socket: ClientConnection, marker: str, *, seconds: float = 60) -> str:
    """Raw output until a marker was seen."""
    seen = b""
    async with asyncio.timeout(seconds):
        while marker.encode() not in seen:
            message = await socket.recv()
            seen += message if isinstance(message, bytes) else message.encode()
    return seen.decode(errors="replace")


async def tell(socket: ClientConnection, **message: Any) -> None:
    """One order of `codesessions.v1`."""
    await socket.send(json.dumps(message))


class Resuming:
    """A client of `codesessions.v1` that connects again and goes on where it was, for as long as it takes."""

    def __init__(self, access: Access, endpoint: str) -> None:
        self._access, self._endpoint = access, endpoint
        self.seqs: list[int] = []
        self.text = ""
        self.closes: list[int] = []
        """The close codes it met; 1006 for none."""
        self.ended: dict[str, Any] | None = None

    async def read(self, marker: str, *, seconds: float) -> None:
        """Read until a marker was seen or the shell has ended."""
        async with asyncio.timeout(seconds):
            while marker not in self.text and self.ended is None:
                try:
                    await self._follow(marker)
                except ConnectionClosed as error:
                    self.closes.append(error.rcvd.code if error.rcvd is not None else 1006)
                except (OSError, InvalidHandshake, InvalidMessage, TimeoutError, EOFError):
                    await asyncio.sleep(0.1)  # nobody there: the next one may be

    async def _follow(self, marker: str) -> None:
        after = self.seqs[-1] if self.seqs else 0
        async with await attach(self._access, self._endpoint, OURS, query=f"afterSeq={after}") as socket:
            while marker not in self.text:
                message = json.loads(await socket.recv())
                if message["type"] == "output":
                    self.seqs.append(message["seq"])
                    self.text += message["text"]
                elif message["type"] == "exit":
                    self.ended = message
                    return
