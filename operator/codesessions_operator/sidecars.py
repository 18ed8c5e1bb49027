"""The terminals of sessions that end: calls to the PTY sidecar at its pod's address.

What answers there is not trusted, as the workspace shares the pod's network: redirects are not followed, nothing is
inflated, and every answer is bounded in size, time and pace.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from codesessions_crds.credentials import Ticket, mint_ticket, workspace_key
from codesessions_crds.names import PTY_PORT, session_id
from yarl import URL

from codesessions_operator.desired.common import Session

CALL_SECONDS = 3.0
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 15.0
"""A sidecar that sends nothing for so long has failed."""
TRANSCRIPT_SECONDS = 300.0
"""A whole transcript must be here after that."""
END_SECONDS = 20
"""How long a shell that was told to end may take: 2 s until it is killed, 10 s for its last output, and some more."""
MAX_TRANSCRIPT_BYTES = 512 << 20
"""Far more than a ring of the default size (32 MiB) makes."""
BLOCK = 256 << 10
_TICKET_SECONDS = 60
_MAX_ANSWER = 4 << 20


class SidecarError(Exception):
    """A sidecar does not do what it should; the message is for people."""


class Sidecars:
    """Calls them."""

    def __init__(self, master_key: bytes, *, clock: Callable[[], float] = time.time, port: int = PTY_PORT) -> None:
        self._master_key, self._clock, self._port = master_key, clock, port
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "codesessions-operator"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def hold(self, session: Session, address: str) -> None:
        """Ask it to stay when its shell ends. Raises SidecarError."""
        await self._call(session, address, "POST", "/v1/hold")

    async def release(self, session: Session, address: str) -> None:
        """Let it go. Raises SidecarError."""
        await self._call(session, address, "POST", "/v1/release")

    async def until_ended(self, session: Session, address: str) -> bool:
        """Wait until the shell has ended and all its output is kept; false if that takes too long.

        Raises SidecarError.
        """
        give_up = time.monotonic() + END_SECONDS
        after = 2**53
        while (left := give_up - time.monotonic()) > 0:
            wait = max(1, int(left))
            answer = await self._call(
                session, address, "GET", "/v1/output", {"after": str(after), "limit": "1", "wait": str(wait)}, wait
            )
            try:
                if json.loads(answer)["exit"] is not None:
                    return True
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise SidecarError("The sidecar's answer cannot be read.") from error
            await asyncio.sleep(0.2)
        return False

    async def transcript(self, session: Session, address: str) -> AsyncIterator[bytes]:
        """The transcript's bytes. Raises SidecarError, also in their middle."""
        limits = aiohttp.ClientTimeout(
            total=TRANSCRIPT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        seen = 0
        try:
            async with self._http.get(
                self._url(address, "/v1/transcript", {}),
                headers=self._headers(session),
                timeout=limits,
                allow_redirects=False,
            ) as response:
                _check(response)
                async for part in response.content.iter_chunked(BLOCK):
                    seen += len(part)
                    if seen > MAX_TRANSCRIPT_BYTES:
                        raise SidecarError(f"The transcript is larger than {MAX_TRANSCRIPT_BYTES} bytes.")
                    yield part
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SidecarError(f"The session's sidecar cannot be reached: {_words(error)}") from error

    async def _call(
        self,
        session: Session,
        address: str,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        wait: float = 0.0,
    ) -> bytes:
        limits = aiohttp.ClientTimeout(total=CALL_SECONDS + wait, sock_connect=CONNECT_SECONDS)
        try:
            async with self._http.request(
                method,
                self._url(address, path, query or {}),
                headers=self._headers(session),
                timeout=limits,
                allow_redirects=False,
            ) as response:
                _check(response)
                answer = bytearray()
                async for part in response.content.iter_any():
                    answer += part
                    if len(answer) > _MAX_ANSWER:
                        raise SidecarError("The sidecar's answer is too long.")
                return bytes(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise SidecarError(f"The session's sidecar cannot be reached: {_words(error)}") from error

    def _url(self, address: str, path: str, query: dict[str, str]) -> URL:
        return URL.build(scheme="http", host=address, port=self._port, path=path, query=query)

    def _headers(self, session: Session) -> dict[str, str]:
        now = int(self._clock())
        ticket = Ticket(session_id(session.name), session.uid, ("read", "archive"), now + _TICKET_SECONDS)
        key = workspace_key(self._master_key, session.namespace, session.uid)
        return {"Authorization": f"Bearer {mint_ticket(key, ticket)}"}


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status not in {200, 204}:
        response.close()
        raise SidecarError(f"The session's sidecar refuses (HTTP {response.status}).")


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:300]
