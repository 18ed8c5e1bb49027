"""Output of sessions that have ended: transcripts that the operator put into the registry, cached on disk."""

from __future__ import annotations

import logging
from typing import Any

from codesessions_kube.store import Object
from codesessions_oci.descriptors import Descriptor, Manifest
from codesessions_oci.errors import IntegrityError, NotFoundError, RegistryError
from codesessions_oci.registry import Registry
from codesessions_transcript.archive import Archive
from codesessions_transcript.records import MEDIA_TYPE, TranscriptError

from codesessions_api.archivecache import ArchiveCache, TooLargeError
from codesessions_api.problems import Problem, try_again
from codesessions_api.views import condition_of, status_of

UID = "dev.codesessions.uid"
"""Annotation of the artifact: the session whose transcript it is."""
_GONE_FOR_GOOD = {"TranscriptLost", "NoRegistry"}
_NEVER = {"chunks": [], "lastSeq": 0, "oldestSeq": 1, "truncated": False}
_log = logging.getLogger(__name__)


def is_archived(resource: Object) -> bool:
    """Whether its transcript is in the registry."""
    return bool((resource.get("status") or {}).get("transcript"))


def exit_of(resource: Object) -> dict[str, int | None]:
    """How the shell of a session that has ended did; both None if nobody saw it."""
    return {"code": (resource.get("status") or {}).get("exitCode"), "signal": None}


def without_pod(resource: Object) -> dict[str, Any]:
    """The output of a session that has ended, whose pod is gone and whose transcript is not in the registry.

    Raises Problem 410 if it is lost, 503 if it is on its way.
    """
    archived = condition_of(resource, "Archived")
    if archived.get("reason") == "NothingToArchive":
        return {**_NEVER, "exit": exit_of(resource)}
    status = status_of(resource)
    phase = str((resource.get("status") or {}).get("phase") or "").lower()
    if phase == status and (not archived or archived.get("reason") in _GONE_FOR_GOOD):
        why = archived.get("message") or "Its output went with its pod."
        raise Problem(410, "output_gone", f"The session is {status}. {why}")
    why = archived.get("message") or "Its output is being stored."
    raise try_again(503, "output_not_stored_yet", f"The session is {status}. {why}", seconds=2)


class Transcripts:
    """Transcripts in the registry. Without one it knows of none."""

    def __init__(self, registry: Registry | None, cache: ArchiveCache) -> None:
        self._registry, self._cache = registry, cache

    async def close(self) -> None:
        """Close files and connections."""
        self._cache.close()
        if self._registry is not None:
            await self._registry.close()

    async def output(self, resource: Object, *, after: int, limit: int, raw: bool) -> dict[str, Any]:
        """A page, as the live terminal would answer; `exit` is always there. Raises Problem 410 or 503."""
        archive = await self.open(resource)
        found = archive.output(after, limit, raw=raw)
        return {**found, "exit": found["exit"] or exit_of(resource)}

    async def open(self, resource: Object) -> Archive:
        """The whole transcript. Raises Problem 410 or 503."""
        metadata, reference = resource["metadata"], resource["status"]["transcript"]
        if self._registry is None:
            raise _unavailable()
        try:
            repository = self._registry.settings.repository(metadata["namespace"], metadata["name"])
            known = self._cache.get(metadata["uid"], reference["digest"])
            if known is not None:
                return known
            layer = _layer(await self._registry.get_manifest(repository, reference["digest"]), metadata["uid"])
            content = self._registry.read_blob(repository, layer.digest, layer.size)
            return await self._cache.add(metadata["uid"], reference["digest"], layer.size, content)
        except NotFoundError as error:
            detail = f"The session is {status_of(resource)}, and its output is not in the registry any more."
            raise Problem(410, "output_gone", detail) from error
        except (IntegrityError, TranscriptError, TooLargeError, ValueError, KeyError, TypeError) as error:
            _log.error("transcript of %s/%s: %s", metadata["namespace"], metadata["name"], error)
            raise _unavailable() from error
        except (RegistryError, OSError) as error:
            _log.warning("transcript of %s/%s: %s", metadata["namespace"], metadata["name"], error)
            raise _unavailable() from error


def _layer(manifest: Manifest, uid: str) -> Descriptor:
    """The transcript in an artifact. Raises ValueError, KeyError or TypeError."""
    (layer,) = manifest.layers
    annotations = manifest.document.get("annotations") or {}
    if layer.media_type != MEDIA_TYPE or annotations.get(UID) != uid:
        raise TranscriptError("it is another session's")
    return layer


def _unavailable() -> Problem:
    detail = "The output of this session cannot be fetched at the moment."
    return try_again(503, "archive_unavailable", detail, seconds=5)
