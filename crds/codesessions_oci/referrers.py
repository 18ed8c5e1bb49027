"""What refers to a manifest, at registries that do not know (OCI Distribution: referrers tag schema).

They keep an index under a tag made of the subject's digest; it is up to clients to keep it.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from codesessions_oci.descriptors import INDEX, MANIFEST, Descriptor, Manifest, index, is_digest, render
from codesessions_oci.errors import NotFoundError


class Manifests(Protocol):
    """What is needed of a registry."""

    async def get_manifest(self, repository: str, reference: str) -> Manifest: ...

    async def push_manifest(self, repository: str, reference: str, body: bytes, media_type: str = MANIFEST) -> str: ...


def tag_of(digest: str) -> str:
    """`sha256:abc` -> `sha256-abc`."""
    return digest.replace(":", "-", 1)


def subject_of(body: bytes, media_type: str) -> str | None:
    """The digest of the manifest that this one is about."""
    if media_type not in {MANIFEST, INDEX}:
        return None
    subject = json.loads(body).get("subject") or {}
    digest = subject.get("digest")
    return digest if is_digest(digest) else None


def select(document: Any, artifact_type: str) -> list[Descriptor]:
    """The descriptors of an index, of one type or all; what is none is left out."""
    found = []
    for each in (document.get("manifests") if isinstance(document, dict) else None) or []:
        try:
            descriptor = Descriptor.read(each)
        except (ValueError, KeyError, TypeError):
            continue
        if artifact_type in {"", descriptor.artifact_type}:
            found.append(descriptor)
    return found


async def recorded(manifests: Manifests, repository: str, digest: str, artifact_type: str) -> list[Descriptor]:
    """What the tag's index says; nothing without one."""
    try:
        found = await manifests.get_manifest(repository, tag_of(digest))
    except NotFoundError:
        return []
    return select(found.document, artifact_type)


async def record(manifests: Manifests, repository: str, subject: str, manifest: Manifest) -> None:
    """Add a manifest to its subject's index. Two clients at once may lose one's entry: the schema has no lock."""
    known = await recorded(manifests, repository, subject, "")
    if any(each.digest == manifest.digest for each in known):
        return
    document = manifest.document
    added = Descriptor(
        manifest.digest,
        len(manifest.body),
        manifest.media_type,
        annotations=document.get("annotations") or {},
        artifact_type=str(document.get("artifactType") or (document.get("config") or {}).get("mediaType") or ""),
    )
    body = render(index([each.document() for each in (*known, added)]))
    await manifests.push_manifest(repository, tag_of(subject), body, INDEX)
