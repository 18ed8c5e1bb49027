"""The terminal itself: calls to a session's PTY sidecar at its pod's address.

What answers there is not trusted. The workspace shares the pod's network, so while the sidecar restarts a user's
program may listen in its place: redirects are not followed, cookies not kept, nothing is inflated, answers are
bounded and their shape is checked, and of a refusal only the status counts.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
from codesessions_kube.store import Object
from yarl import URL

from codesessions_api.problems import Problem, try_again
from codesessions_api.tickets import address_of, ticket_for
from codesessions_api.trace import current
from codesessions_api.views import FINISHED, status_of

MAX_OUTPUT_BYTES = 256 << 10
"""Bytes of output in one answer, as the sidecar has it."""
MAX_ANSWER_BYTES = 8 * MAX_OUTPUT_BYTES
"""A byte of output is at most six of JSON (\\u001b), and each chunk has a number and a time."""
RETRY_SECONDS = 5.0
"""A sidecar that was killed is back within a second, on a crowded node within a few."""
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0
_MAX_CHUNKS = MAX_OUTPUT_BYTES + 1


class Sidecars:
    """Calls sidecars over kept-alive connections."""

    def __init__(self, master_key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._master_key, self._clock = master_key, clock
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=64, keepalive_timeout=60, use_dns_cache=False)
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "codesessions-api"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def type(
        self, resource: Object, user_id: str, data: bytes, seq: int | None, writer: str | None = None
    ) -> None:
        """Type. Raises Problem 409, 429 or 503; then nothing was typed, or with 503 perhaps it was (see `inputSeq`)."""
        query = {"inputSeq": str(seq)} if seq is not None else {}
        if writer is not None:
            query["writer"] = writer
        again = seq is not None  # the sidecar knows the number then
        await self._call(resource, "POST", "/v1/input", "write", user_id, lambda: query, data, repeatable=again)

    async def resize(self, resource: Object, user_id: str, rows: int, columns: int) -> None:
        """Set the size in characters. Raises Problem 503."""
        body = orjson.dumps({"rows": rows, "cols": columns})
        await self._call(resource, "POST", "/v1/resize", "write", user_id, dict, body, repeatable=True)

    async def output(
        self, resource: Object, user_id: str, *, after: int, limit: int, wait: int, raw: bool = False
    ) -> dict[str, Any]:
        """Output after a number, held up to `wait` seconds until there is some. Raises Problem 503.

        `raw`: chunks have `data`, the exact bytes in base64, in place of `text`.
        """
        until = time.monotonic() + wait

        def query() -> dict[str, str]:
            left = math.ceil(max(0.0, until - time.monotonic()))
            exact = {"raw": "base64"} if raw else {}
            return {"after": str(after), "limit": str(limit), "wait": str(left), **exact}

        text = await self._call(
            resource, "GET", "/v1/output", "read", user_id, query, None, repeatable=True, seconds=wait
        )
        try:
            return _page(orjson.loads(text), "data" if raw else "text")
        except (ValueError, KeyError, TypeError) as error:
            raise unavailable() from error

    async def transcript(self, resource: Object, user_id: str) -> aiohttp.ClientResponse:
        """The whole transcript as it comes, to be read and closed. Raises Problem 503."""
        address = address_of(resource)
        if address is None:
            raise unavailable()
        token = ticket_for(self._master_key, resource, ("read",), user_id, now=self._clock())
        url = URL.build(scheme="http", host=address[0], port=address[1], path="/v1/transcript")
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
        headers = {"Authorization": f"Bearer {token}", **current.get().headers}
        give_up = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                answer = await self._http.get(url, headers=headers, timeout=limits, allow_redirects=False)
                break
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                if not _may_repeat(error, repeatable=True) or time.monotonic() > give_up:
                    raise unavailable() from error
            await asyncio.sleep(0.05)
        if answer.status != 200:
            answer.close()
            raise unavailable()
        return answer

    async def _call(
        self,
        resource: Object,
        method: str,
        path: str,
        scope: str,
        user_id: str,
        query: Callable[[], dict[str, str]],
        body: bytes | None,
        *,
        repeatable: bool,
        seconds: float = 0,
    ) -> bytes:
        """One call, tried again for a moment after the first failure if it is `repeatable` or was never sent."""
        address = address_of(resource)
        if address is None:
            raise unavailable()
        token = ticket_for(self._master_key, resource, (scope,), user_id, now=self._clock())
        headers = {"Authorization": f"Bearer {token}", **current.get().headers}
        finished = status_of(resource) in FINISHED  # its pod goes or is gone: not worth much waiting
        connect = 0.5 if finished else CONNECT_SECONDS
        limits = aiohttp.ClientTimeout(total=seconds + ANSWER_SECONDS, sock_connect=connect)
        give_up: float | None = 0.0 if finished else None
        pause = 0.02
        while True:
            url = URL.build(scheme="http", host=address[0], port=address[1], path=path, query=query())
            try:
                return await self._once(method, url, headers, body, limits)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                give_up = time.monotonic() + RETRY_SECONDS if give_up is None else give_up
                if not _may_repeat(error, repeatable) or time.monotonic() + pause > give_up:
                    raise unavailable() from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.2)

    async def _once(
        self, method: str, url: URL, headers: dict[str, str], body: bytes | None, limits: aiohttp.ClientTimeout
    ) -> bytes:
        """One request. Raises Problem, and what aiohttp raises."""
        async with self._http.request(
            method, url, data=body, headers=headers, timeout=limits, allow_redirects=False
        ) as response:
            if response.status == 204:
                return b""
            if response.status != 200:
                response.close()  # whatever it has to say
                raise _refusal(response.status)
            answer = bytearray()
            async for part in response.content.iter_any():
                answer += part
                if len(answer) > MAX_ANSWER_BYTES:
                    response.close()
                    raise unavailable()
            return bytes(answer)


def _may_repeat(error: Exception, repeatable: bool) -> bool:
    """Whether a request that failed so can be made again: nothing was sent, or twice is as good as once."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return isinstance(error.os_error, ConnectionRefusedError)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return True
    if isinstance(error, TimeoutError):
        return False  # it had its time
    return repeatable and isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError)


def _page(found: Any, content: str) -> dict[str, Any]:
    """A page of output, of the right shape. Raises ValueError, KeyError or TypeError."""
    chunks = found["chunks"]
    if len(chunks) > _MAX_CHUNKS:
        raise ValueError("too many chunks")
    ended = found["exit"]
    return {
        "chunks": [
            {"seq": _number(each["seq"]), content: _text(each[content]), "createdAt": _text(each["createdAt"])}
            for each in chunks
        ],
        "lastSeq": _number(found["lastSeq"]),
        "oldestSeq": _number(found["oldestSeq"]),
        "truncated": bool(found["truncated"]),
        "exit": None
        if ended is None
        else {name: None if ended[name] is None else _number(ended[name]) for name in ("code", "signal")},
    }


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a number")
    return value


def _text(value: object) -> str:
    if type(value) is not str:
        raise ValueError("not a text")
    return value


def unavailable() -> Problem:
    """The sidecar does not answer now."""
    return try_again(503, "terminal_unavailable", "The session's terminal cannot be reached at the moment.")


def _refusal(status: int) -> Problem:
    if status == 429:
        detail = "The program in the session does not read its input; nothing of this was typed."
        return try_again(429, "input_queue_full", detail)
    if status == 409:
        return Problem(409, "session_completed", "The shell has ended; create a new session.")
    return unavailable()
