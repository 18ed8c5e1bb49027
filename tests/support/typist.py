"""A client of `codesessions.v1` that types and reads, whatever breaks."""

from __future__ import annotations

import asyncio
import json

from codesessions_dev.envfile import Access
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from support.terminal import OURS, attach

GONE = (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError, EOFError)


class Typist:
    """Types `<a1>`, `<a2>`, ... over `codesessions.v1`, connects again when cut, sends again what was not answered."""

    def __init__(self, access: Access, endpoint: str) -> None:
        self._access, self._endpoint = access, endpoint
        self.typed = self.shown = 0
        self.text, self.cuts = "", 0
        self.stop = False

    async def run(self, after: int) -> None:
        """Until told to stop, and everything typed is on the screen."""
        self.shown = after
        while not (self.stop and f"<a{self.typed}>" in self.text):
            try:
                query = f"afterSeq={self.shown}&writer=a"
                async with await attach(self._access, self._endpoint, OURS, query=query) as socket:
                    await self._converse(socket)
            except GONE:
                self.cuts += 1
                await asyncio.sleep(0.1)

    async def _converse(self, socket: object) -> None:
        number = self.typed + 1
        await self._send(socket, number)
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), 20))  # type: ignore[attr-defined]
            if message["type"] == "output":
                assert message["seq"] == self.shown + 1, "a gap in the numbering"
                self.shown, self.text = message["seq"], self.text + message["text"]
            elif message["type"] == "typed" and message["inputSeq"] == number:
                self.typed = number
                await asyncio.sleep(0.005)
                if not self.stop:
                    number += 1
                    await self._send(socket, number)
            if self.stop and number == self.typed and f"<a{self.typed}>" in self.text:
                return

    async def _send(self, socket: object, number: int) -> None:
        message = {"type": "input", "text": f"<a{number}>", "inputSeq": number}
        await socket.send(json.dumps(message))  # type: ignore[attr-defined]
