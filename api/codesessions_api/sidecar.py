"""The terminal itself: calls to a session's PTY sidecar at its pod's address."""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp
from codesessions_crds.credentials import Ticket, mint_ticket, workspace_key
from codesessions_crds.names import PTY_PORT, session_id
from codesessions_kube.store import Object

from codesessions_api.problems import Problem

TICKET_SECONDS = 60


def address_of(resource: Object) -> str | None:
    """Host and port of a session's sidecar; None if it has no pod."""
    ip = ((resource.get("status") or {}).get("pod") or {}).get("ip")
    if not ip:
        return None
    return f"[{ip}]:{PTY_PORT}" if ":" in ip else f"{ip}:{PTY_PORT}"


def ticket_for(master_key: bytes, resource: Object, scope: tuple[str, ...], user_id: str) -> str:
    """A ticket for one session, good for a minute."""
    metadata = resource["metadata"]
    key = workspace_key(master_key, metadata["namespace"], metadata["uid"])
    expires = int(time.time()) + TICKET_SECONDS
    return mint_ticket(key, Ticket(session_id(metadata["name"]), metadata["uid"], scope, expires, user_id))


class Sidecars:
    """Calls sidecars over kept-alive connections."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=64, keepalive_timeout=60)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(sock_connect=3))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def call(
        self,
        resource: Object,
        method: str,
        path: str,
        *,
        scope: str,
        user_id: str,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 10.0,
    ) -> dict[str, Any]:
        """One call; the JSON that was answered. Raises Problem."""
        address = address_of(resource)
        if address is None:
            raise unavailable()
        headers = {"Authorization": f"Bearer {ticket_for(self._master_key, resource, (scope,), user_id)}"}
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=3)
        try:
            async with self._http.request(
                method, f"http://{address}{path}", params=query, data=body, headers=headers, timeout=timeout
            ) as response:
                text = await response.read()
                if response.status < 300:
                    found: dict[str, Any] = json.loads(text) if text else {}
                    return found
                raise _refusal(response.status, text, response.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise unavailable() from error


def unavailable() -> Problem:
    """The sidecar does not answer now."""
    detail = "The session's terminal cannot be reached at the moment; try again."
    return Problem(503, "terminal_unavailable", detail, headers={"Retry-After": "1"})


def _refusal(status: int, text: bytes, retry_after: str | None) -> Problem:
    try:
        found = json.loads(text)
        code, detail = str(found["code"]), str(found["detail"])
    except (ValueError, KeyError, TypeError):
        return unavailable()
    if status == 429:
        return Problem(429, code, detail, headers={"Retry-After": retry_after or "1"})
    if status == 409:
        return Problem(409, "session_completed", "The shell has ended; create a new session.")
    if status in {400, 413}:
        return Problem(422, code, detail)
    return unavailable()
