"""The client: blobs by stream, manifests, artifacts. Repositories are named in full, with the prefix.

Every call raises RegistryError: UnavailableError may go away by itself, RefusedError and NotFoundError say what the
registry said.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from codesessions_oci import referrers
from codesessions_oci.descriptors import (
    ACCEPTED,
    EMPTY,
    MANIFEST,
    OCTETS,
    Descriptor,
    Manifest,
    artifact,
    digest_of,
    is_digest,
    render,
)
from codesessions_oci.errors import IntegrityError, NotFoundError, RegistryError, UnavailableError
from codesessions_oci.settings import RegistrySettings
from codesessions_oci.transport import Transport, read

BLOCK = 256 << 10
"""Bytes that are read at a time."""
_PAGE = 1000


class Registry:
    """One registry. Use `async with Registry(settings)`."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings
        self._transport = Transport(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def check(self) -> None:
        """Whether it is there and takes us."""
        async with self._transport.request("GET", "/v2/", ()):
            return

    async def has_blob(self, repository: str, digest: str) -> Descriptor | None:
        """The blob's descriptor if the repository has it."""
        try:
            async with self._transport.request("HEAD", _blob(repository, digest), _pull(repository)) as response:
                return Descriptor(digest, response.content_length or 0)
        except NotFoundError:
            return None

    async def push_blob(self, repository: str, content: AsyncIterator[bytes], media_type: str = OCTETS) -> Descriptor:
        """Send a stream whose length nobody knows yet; it is hashed on its way.

        An exception of `content` ends it and is raised; the registry keeps nothing then.
        """
        hashed, size = hashlib.sha256(), 0
        fault: Exception | None = None

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size, fault
            try:
                async for part in content:
                    hashed.update(part)
                    size += len(part)
                    yield part
            except Exception as error:
                fault = error
                raise

        location = await self._begin(repository)
        octets = {"Content-Type": OCTETS}
        try:
            async with self._transport.request(
                "PATCH", location, _push(repository), headers=octets, body=counted()
            ) as response:
                location = _location(response)
        except Exception as error:
            with contextlib.suppress(RegistryError):
                await self._cancel(location, _push(repository))
            if fault is not None:
                raise fault from error
            raise
        digest = "sha256:" + hashed.hexdigest()
        await self._finish(repository, location, digest, b"")
        return Descriptor(digest, size, media_type)

    async def push_bytes(self, repository: str, content: bytes, media_type: str = OCTETS) -> Descriptor:
        """Send bytes, if the repository has them not yet."""
        wanted = Descriptor(digest_of(content), len(content), media_type)
        if await self.has_blob(repository, wanted.digest) is None:
            await self._finish(repository, await self._begin(repository), wanted.digest, content)
        return wanted

    async def mount_blob(self, repository: str, digest: str, source_repository: str) -> bool:
        """Take a blob from another repository without sending it; false if the registry does not do that."""
        query = f"?mount={quote(digest, safe='')}&from={quote(source_repository, safe='')}"
        scopes = (*_push(repository), *_pull(source_repository))
        async with self._transport.request("POST", f"/v2/{repository}/blobs/uploads/{query}", scopes) as response:
            if response.status == 201:
                return True
            location = _location(response)  # an upload was begun in its place
        await self._cancel(location, scopes)
        return False

    async def read_blob(self, repository: str, digest: str, size: int | None = None) -> AsyncIterator[bytes]:
        """The blob's bytes. Raises IntegrityError at the end, or earlier, if they are not what was asked for."""
        hashed, seen = hashlib.sha256(), 0
        async with self._transport.request("GET", _blob(repository, digest), _pull(repository)) as response:
            async for part in response.content.iter_chunked(BLOCK):
                hashed.update(part)
                seen += len(part)
                if size is not None and seen > size:
                    break
                yield part
        if "sha256:" + hashed.hexdigest() != digest or size not in {None, seen}:
            raise IntegrityError(f"blob {digest} of {repository} arrived damaged ({seen} bytes)")

    async def delete_blob(self, repository: str, digest: str) -> None:
        """Forget a blob; nothing if it is not there. Disk space comes back with the registry's garbage collection."""
        async with self._transport.request("DELETE", _blob(repository, digest), _delete(repository), allowed=(404,)):
            return

    async def push_manifest(self, repository: str, reference: str, body: bytes, media_type: str = MANIFEST) -> str:
        """Send a manifest under a tag or its digest; returns its digest. What it refers to must be there."""
        digest = digest_of(body)
        headers = {"Content-Type": media_type}
        async with self._transport.request(
            "PUT", _manifest(repository, reference), _push(repository), headers=headers, body=body
        ) as response:
            knows_subject = "OCI-Subject" in response.headers
        subject = referrers.subject_of(body, media_type)
        if subject is not None and not knows_subject:
            await referrers.record(self, repository, subject, Manifest(media_type, digest, body))
        return digest

    async def get_manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest; by digest it is checked. Raises NotFoundError, IntegrityError."""
        headers = {"Accept": ", ".join(ACCEPTED)}
        async with self._transport.request(
            "GET", _manifest(repository, reference), _pull(repository), headers=headers
        ) as response:
            body, media_type = await read(response), response.content_type
        digest = digest_of(body)
        if is_digest(reference) and digest != reference:
            raise IntegrityError(f"manifest {reference} of {repository} arrived damaged")
        return Manifest(media_type, digest, body)

    async def delete_manifest(self, repository: str, reference: str) -> None:
        """Delete a manifest by its digest, or only a tag; nothing if it is not there.

        Not every registry deletes tags: RefusedError then.
        """
        async with self._transport.request(
            "DELETE", _manifest(repository, reference), _delete(repository), allowed=(404,)
        ):
            return

    async def delete_with_referrers(self, repository: str, digest: str) -> None:
        """Delete a manifest, what names it as its subject, and the list of that where clients keep one."""
        for each in await self.referrers(repository, digest):
            await self.delete_manifest(repository, each.digest)
        with contextlib.suppress(NotFoundError):
            listed = await self.get_manifest(repository, referrers.tag_of(digest))
            await self.delete_manifest(repository, listed.digest)
        await self.delete_manifest(repository, digest)

    async def tags(self, repository: str) -> list[str]:
        """All tags; none for a repository that is not there."""
        return await self._listed(f"/v2/{repository}/tags/list?n={_PAGE}", "tags", _pull(repository))

    async def repositories(self) -> list[str]:
        """All repositories, where a registry tells (`_catalog`, not part of the specification)."""
        return await self._listed(f"/v2/_catalog?n={_PAGE}", "repositories", ("registry:catalog:*",))

    async def referrers(self, repository: str, digest: str, artifact_type: str = "") -> list[Descriptor]:
        """What names a manifest as its subject (OCI Distribution: listing referrers, with the tag schema)."""
        try:
            path = f"/v2/{repository}/referrers/{digest}"
            async with self._transport.request("GET", path, _pull(repository)) as response:
                found = await self._transport.json(response)
        except NotFoundError:
            return await referrers.recorded(self, repository, digest, artifact_type)
        return referrers.select(found, artifact_type)

    async def push_artifact(
        self,
        repository: str,
        tag: str,
        artifact_type: str,
        layers: Sequence[Descriptor],
        annotations: Mapping[str, str],
        subject: Descriptor | None = None,
    ) -> Descriptor:
        """Bind blobs that are there already into an artifact; returns its manifest's descriptor."""
        await self.push_bytes(repository, b"{}", EMPTY.media_type)
        body = render(artifact(artifact_type, layers, annotations, subject))
        digest = await self.push_manifest(repository, tag, body)
        return Descriptor(digest, len(body), MANIFEST, artifact_type=artifact_type)

    async def _begin(self, repository: str) -> URL:
        path = f"/v2/{repository}/blobs/uploads/"
        async with self._transport.request("POST", path, _push(repository), body=b"") as response:
            return _location(response)

    async def _cancel(self, location: URL, scopes: tuple[str, ...]) -> None:
        async with self._transport.request("DELETE", location, scopes, allowed=(400, 404, 405)):
            return

    async def _finish(self, repository: str, location: URL, digest: str, content: bytes) -> None:
        target = location.update_query(digest=digest)
        octets = {"Content-Type": OCTETS}
        async with self._transport.request("PUT", target, _push(repository), headers=octets, body=content):
            return

    async def _listed(self, path: str, member: str, scopes: tuple[str, ...]) -> list[str]:
        found: list[str] = []
        target: str | URL | None = path
        while target is not None:
            try:
                async with self._transport.request("GET", target, scopes) as response:
                    page: Any = await self._transport.json(response)
                    following = response.links["next"].get("url") if "next" in response.links else None
            except NotFoundError:
                return found
            found += [str(each) for each in page.get(member) or []]
            target = following if isinstance(following, URL) else None
        return found


def _location(response: aiohttp.ClientResponse) -> URL:
    try:
        return response.url.join(URL(response.headers["Location"], encoded=True))
    except (KeyError, ValueError) as error:
        raise UnavailableError(f"{response.url.host} does not say where to send a blob") from error


def _blob(repository: str, digest: str) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def _manifest(repository: str, reference: str) -> str:
    return f"/v2/{repository}/manifests/{reference}"


def _pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)


def _delete(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:delete,pull",)
