"""Requests to a registry: authentication, limits, and what its refusals mean.

A registry asks for what it wants by 401 (RFC 9110, Docker's token specification); tokens are kept per scope until they
expire. Credentials go to the registry's own host and, never with less TLS, to the token server it names.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from codesessions_oci import challenges, credentials
from codesessions_oci.challenges import Challenge
from codesessions_oci.errors import NotFoundError, RefusedError, RegistryError, UnavailableError
from codesessions_oci.settings import RegistrySettings

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""A registry that sends or takes nothing for so long is gone."""
_LEEWAY_SECONDS = 15.0
_LARGEST_ANSWER = 4 << 20
"""Of manifests, lists, tokens and errors (OCI Distribution: a registry takes manifests of at least 4 MiB)."""
_BUSY = {408, 429}
_LOST = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}
"""What was sent a moment ago is gone: the registry was started anew, or its garbage was collected meanwhile."""


class Transport:
    """A connection pool to one registry."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._base, self._settings = settings.url.origin(), settings
        self._host = settings.host
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._basic = False
        self._lock = asyncio.Lock()
        tls = ssl.create_default_context()
        if settings.ca_file is not None:
            tls.load_verify_locations(settings.ca_file)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=64, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": "codesessions", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str | URL,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A response of status 200 to 299, or one of `allowed`. Raises RegistryError.

        A streamed body cannot be sent twice, so it must follow a request of the same scopes.
        """
        target = self._target(url)
        try:
            for attempt in (1, 2):
                sent = {**(headers or {}), **await self._authorization(target, scopes)}
                data = io.BytesIO(body) if isinstance(body, bytes) else body
                async with self._http.request(method, target, headers=sent, data=data) as response:
                    again = attempt == 1 and response.status == 401 and not isinstance(body, AsyncIterator)
                    if again and await self._answer(response, scopes):
                        continue
                    if not 200 <= response.status < 300 and response.status not in allowed:
                        raise await _refusal(response)
                    yield response
                    return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the registry at {self._host} does not answer: {_words(error)}") from error

    async def json(self, response: aiohttp.ClientResponse) -> Any:
        """A body as JSON. Raises UnavailableError if it is none."""
        try:
            return json.loads(await read(response))
        except ValueError as error:
            raise UnavailableError(f"{self._host} does not answer as a registry does") from error

    def _target(self, url: str | URL) -> URL:
        """Registries behind a proxy often name themselves by another scheme: at our host, ours counts."""
        found = self._base.join(URL(url, encoded=True)) if isinstance(url, str) else url
        if found.host == self._base.host and found.origin() != self._base and found.scheme != self._base.scheme:
            found = self._base.join(found.relative())
        return found

    async def _authorization(self, target: URL, scopes: tuple[str, ...]) -> dict[str, str]:
        if target.origin() != self._base:  # a store that the registry sent us to
            return {}
        if self._basic and (known := self._credentials()) is not None:
            return {"Authorization": known.basic}
        token, expires = self._tokens.get(scopes, ("", 0.0))
        return {"Authorization": f"Bearer {token}"} if token and time.monotonic() < expires else {}

    def _credentials(self) -> credentials.Credentials | None:
        return credentials.load(self._settings.auth_file, self._host, self._settings.prefix)

    async def _answer(self, response: aiohttp.ClientResponse, scopes: tuple[str, ...]) -> bool:
        """Get what a 401 asks for; false if we have nothing of the kind."""
        for challenge in challenges.parse(response.headers.getall("WWW-Authenticate", [])):
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                async with self._lock:
                    token, seconds = await self._token(challenge, scopes)
                self._tokens[scopes] = (token, time.monotonic() + max(1.0, seconds - _LEEWAY_SECONDS))
                return True
            if challenge.scheme == "basic" and not self._basic and self._credentials() is not None:
                self._basic = True
                return True
        return False

    async def _token(self, challenge: Challenge, scopes: tuple[str, ...]) -> tuple[str, float]:
        """A token and its life in seconds (Docker: token authentication; RFC 6749 for identity tokens)."""
        realm = self._base.join(URL(challenge.parameters["realm"]))
        if self._base.scheme == "https" and realm.scheme != "https":
            raise RegistryError(f"{self._host} names a token server without TLS: {realm.host}")
        asked = [("service", challenge.parameters.get("service", "")), *(("scope", each) for each in scopes)]
        known = self._credentials()
        if known is not None and not known.user:
            form = {
                "grant_type": "refresh_token",
                "client_id": "codesessions",
                "service": challenge.parameters.get("service", ""),
                "scope": " ".join(scopes),
                "refresh_token": known.password,
            }
            request = self._http.post(realm, data=form, allow_redirects=False)
        else:
            headers = {"Authorization": known.basic} if known is not None else {}
            request = self._http.get(realm.extend_query(asked), headers=headers, allow_redirects=False)
        async with request as response:
            if response.status != 200:
                raise await _refusal(response)
            found = await self.json(response)
        token = found.get("token") or found.get("access_token") if isinstance(found, dict) else None
        if not isinstance(token, str):
            raise UnavailableError(f"the token server of {self._host} sent no token")
        seconds = found.get("expires_in")
        return token, float(seconds) if isinstance(seconds, int | float) else 60.0


async def read(response: aiohttp.ClientResponse, most: int = _LARGEST_ANSWER) -> bytes:
    """A body of bounded size. Raises UnavailableError if it is larger."""
    found = bytearray()
    async for part in response.content.iter_any():
        found += part
        if len(found) > most:
            response.close()
            raise UnavailableError(f"{response.url.host} answers with more than {most} bytes")
    return bytes(found)


async def _refusal(response: aiohttp.ClientResponse) -> RegistryError:
    status, code, detail = response.status, "", ""
    try:
        text = (await read(response, 64 << 10)).decode("utf-8", "replace")
        first = json.loads(text)["errors"][0]
        code = str(first.get("code") or "")[:64]
        detail = " ".join(str(first[name]) for name in ("message", "detail") if first.get(name))[:500]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, UnavailableError):
        detail = response.reason or ""
    if status >= 500 or status in _BUSY:
        return UnavailableError(f"the registry at {response.url.host} failed (HTTP {status}): {detail}")
    if code in _LOST:
        return UnavailableError(f"the registry at {response.url.host} has lost what was sent ({code}): {detail}")
    return (NotFoundError if status == 404 else RefusedError)(status, code, detail)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
