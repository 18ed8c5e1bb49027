"""From a session's workspace to a source artifact: the sidecar's zip, streamed to the registry."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from codesessions_crds.credentials import Ticket, mint_ticket, workspace_key
from codesessions_crds.names import PTY_PORT, session_id
from codesessions_oci.errors import IntegrityError, RegistryError, UnavailableError
from codesessions_oci.registry import Registry
from yarl import URL

from codesessions_operator.builds.facts import camel

SOURCE_TYPE = "application/vnd.codesessions.source.v1"
ZIP_TYPE = "application/zip"
TICKET_SECONDS = 60
SILENCE_SECONDS = 60.0
BLOCK = 256 << 10


class SourceError(Exception):
    """The source cannot be had. `transient`: the same may work in a moment."""

    def __init__(self, code: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.transient = code, message, transient


@dataclass(frozen=True)
class Workspace:
    """Whose files."""

    namespace: str
    name: str
    uid: str
    address: str


@dataclass(frozen=True)
class Source:
    """A source that is in the registry: digest of its manifest, size of its zip in bytes."""

    digest: str
    size: int


class Sources:
    """Moves sources, a few at a time."""

    def __init__(self, registry: Registry, master_key: bytes, limits: Mapping[str, int], *, at_once: int = 8) -> None:
        self._registry, self._master_key = registry, master_key
        self._query = {name: str(value) for name, value in limits.items()}
        self._most = limits["totalBytes"] + (64 << 20)
        self._slots = asyncio.Semaphore(at_once)

    async def store(self, workspace: Workspace, repository: str, build: str) -> Source:
        """Put a workspace's zip into `repository`, tagged with the Build's name. Raises SourceError."""
        async with self._slots:
            try:
                return await self._store(workspace, repository, build)
            except UnavailableError as error:
                raise SourceError("RegistryUnavailable", error.message, transient=True) from error
            except IntegrityError as error:
                raise SourceError("SourceDamaged", error.message, transient=True) from error
            except RegistryError as error:
                raise SourceError("RegistryRefused", error.message) from error

    async def _store(self, workspace: Workspace, repository: str, build: str) -> Source:
        blob = await self._registry.push_blob(repository, self._archive(workspace), ZIP_TYPE)
        annotations = {"dev.codesessions.session": session_id(workspace.name)}
        manifest = await self._registry.push_artifact(repository, build, SOURCE_TYPE, [blob], annotations)
        return Source(manifest.digest, blob.size)

    async def _archive(self, workspace: Workspace) -> AsyncIterator[bytes]:
        key = workspace_key(self._master_key, workspace.namespace, workspace.uid)
        expires = int(time.time()) + TICKET_SECONDS
        token = mint_ticket(key, Ticket(session_id(workspace.name), workspace.uid, ("archive",), expires, "operator"))
        url = URL.build(scheme="http", host=workspace.address, port=PTY_PORT, path="/v1/archive", query=self._query)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS)
        headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
        size = 0
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as http,
                http.get(url, headers=headers, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise await _refusal(response)
                async for part in response.content.iter_chunked(BLOCK):
                    size += len(part)
                    if size > self._most:
                        raise SourceError("SourceTooLarge", f"The archive is over {self._most} bytes.")
                    yield part
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            words = str(error) or type(error).__name__
            raise SourceError(
                "SidecarUnavailable", f"The session does not send its files: {words}", transient=True
            ) from error


async def _refusal(response: aiohttp.ClientResponse) -> SourceError:
    """What the sidecar says; what answers there is not trusted, so it is bounded and taken as words."""
    try:
        found: Any = json.loads(await response.content.read(16 << 10))
        code, detail = str(found.get("code") or "")[:64], str(found.get("detail") or found.get("error") or "")[:1000]
    except (ValueError, AttributeError, RecursionError, aiohttp.ClientError):
        code, detail = "", ""
    if response.status in {429, 500, 502, 503, 504}:
        return SourceError("SidecarBusy", f"The session cannot send its files now: {detail}", transient=True)
    return SourceError(
        camel(code) or "SourceRefused", f"The files cannot be archived: {detail or f'HTTP {response.status}'}"
    )
