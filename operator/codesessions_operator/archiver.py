"""Brings transcripts of ended sessions to the registry, in tasks beside the reconciler, which looks how far they are.

What is in the registry is the truth: an attempt begins by looking there, so an operator that is killed anywhere repeats
no more than it must, and one of many that push the same thing pushes the same bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from codesessions_crds.codesession import TranscriptReference
from codesessions_crds.names import session_id
from codesessions_kube.store import Key
from codesessions_oci.descriptors import Manifest
from codesessions_oci.errors import NotFoundError, RegistryError, UnavailableError
from codesessions_oci.registry import Registry
from codesessions_transcript.records import MEDIA_TYPE, End, Header, Reader, TranscriptError

from codesessions_operator.clock import now, render
from codesessions_operator.decision import NO_ATTEMPT, Attempt
from codesessions_operator.desired.common import Session
from codesessions_operator.sidecars import SidecarError, Sidecars

ARTIFACT_TYPE = "application/vnd.codesessions.transcript.v1"
TAG = "transcript"
UID, LAST_SEQ, INSTALLATION = "dev.codesessions.uid", "dev.codesessions.last-seq", "dev.codesessions.installation"
CREATED = "org.opencontainers.image.created"
AT_ONCE = 8
"""Transcripts on their way at a time."""
PODS_AT_ONCE = 4
"""Pods of the slow way at a time."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)
LOST = "The transcript is lost: the pod is gone, and its storage with it."

_log = logging.getLogger(__name__)


@dataclass
class _Work:
    session: Session
    attempt: Attempt = NO_ATTEMPT
    failures: int = 0
    task: asyncio.Task[None] | None = None


def installation_of(master_key: bytes) -> str:
    """Tells the artifacts of one installation from those of another that shares the registry."""
    return hmac.new(master_key, b"codesessions/installation/v1", hashlib.sha256).hexdigest()[:16]


class Archiver:
    """`changed` is called with a session's key whenever there is news, `count` with the result of every attempt."""

    def __init__(
        self,
        registry: Registry,
        sidecars: Sidecars,
        master_key: bytes,
        *,
        changed: Callable[[Key], None],
        count: Callable[[str], None] = lambda _: None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._registry, self._sidecars, self._changed, self._clock = registry, sidecars, changed, clock
        self._count = count
        self._installation = installation_of(master_key)
        self._works: dict[Key, _Work] = {}
        self._abandoned: dict[Key, str] = {}
        """Uids of deleted sessions whose pods are still there, and were told."""
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        """End every task. What they did so far is not lost: the next process looks in the registry."""
        tasks = [work.task for work in self._works.values() if work.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def attempt(self, session: Session) -> Attempt:
        """How far a session's transcript is."""
        work = self._works.get((session.namespace, session.name))
        return work.attempt if work is not None and work.session.uid == session.uid else NO_ATTEMPT

    async def abandon(self, key: Key, session: Session | None, address: str | None) -> None:
        """The session is gone: forget it, and let the sidecar of its pod go, if there is one. A sidecar stays by itself
        when its shell ends, so one that was never asked to is told too."""
        self.forget(key)
        if session is None:
            self._abandoned.pop(key, None)
        elif address is not None and self._abandoned.get(key) != session.uid:
            self._abandoned[key] = session.uid
            await self.release(session, address)

    def forget(self, key: Key) -> None:
        """The session needs nothing more."""
        work = self._works.pop(key, None)
        if work is not None and work.task is not None:
            work.task.cancel()

    def _work(self, session: Session) -> _Work:
        key = (session.namespace, session.name)
        work = self._works.get(key)
        if work is None or work.session.uid != session.uid:
            self.forget(key)
            work = self._works[key] = _Work(session)
        return work

    def fetch(self, session: Session, address: str | None) -> None:
        """Begin to bring it from the sidecar at an address; without one, look whether it is in the registry already."""
        work = self._work(session)
        if work.task is not None:
            return
        work.attempt = replace(work.attempt, running=True)
        work.task = asyncio.create_task(self._run(session, address, work))

    async def may_make_pod(self, session: Session, others: int) -> bool:
        """Whether to start a pod of the slow way: the registry answers and lacks the transcript, and few others run."""
        work = self._work(session)
        if others >= PODS_AT_ONCE:
            work.attempt = replace(work.attempt, retry_at=self._clock() + FIRST_PAUSE)
            self._changed((session.namespace, session.name))
            return False
        try:
            found = await self._look(session)
        except RegistryError as error:
            self.failed(session, *_registry_words(error))
            return False
        if found is not None:
            work.attempt = Attempt(found=found)
            self._changed((session.namespace, session.name))
        return found is None

    def failed(self, session: Session, reason: str, message: str) -> None:
        """It did not succeed: try again after a growing pause."""
        work = self._work(session)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(work.failures, 10))
        work.failures += 1
        self._count(reason)
        work.attempt = Attempt(reason=reason, message=message, retry_at=self._clock() + pause)
        _log.warning("%s/%s: %s: %s", session.namespace, session.name, reason, message)
        self._changed((session.namespace, session.name))

    async def delete(self, transcript: TranscriptReference) -> None:
        """Delete it from the registry. Without success the sweep does it later."""
        try:
            await self._registry.delete_manifest(transcript.repository, transcript.digest)
        except RegistryError as error:
            _log.warning("%s@%s was not deleted: %s", transcript.repository, transcript.digest, error)

    async def hold(self, session: Session, address: str) -> None:
        """Ask the sidecar to stay. Without success the slow way is left."""
        self._work(session)
        try:
            await self._sidecars.hold(session, address)
        except SidecarError as error:
            _log.info("%s/%s: %s", session.namespace, session.name, error)

    async def release(self, session: Session, address: str) -> None:
        """Let the sidecar go. Without success it goes by itself after its time."""
        try:
            await self._sidecars.release(session, address)
        except SidecarError as error:
            _log.info("%s/%s: %s", session.namespace, session.name, error)

    async def _run(self, session: Session, address: str | None, work: _Work) -> None:
        key = (session.namespace, session.name)
        try:
            found = await self._look(session)
            if found is None and address is not None:
                if not await self._sidecars.until_ended(session, address):
                    _log.warning("%s/%s: the shell does not end; its output so far is kept", *key)
                async with self._slots:
                    found = await self._bring(session, address)
            work.attempt = Attempt(found=found) if found is not None else Attempt(lost=True, message=LOST)
            self._count("stored" if found is not None else "lost")
        except SidecarError as error:
            self.failed(session, "TranscriptUnreadable", str(error))
        except RegistryError as error:
            self.failed(session, *_registry_words(error))
        except Exception:
            _log.exception("%s/%s", *key)
            self.failed(session, "InternalError", "The operator failed; its log says how.")
        finally:
            work.task = None
            work.attempt = replace(work.attempt, running=False)
            self._changed(key)

    def repository(self, session: Session) -> str:
        """Where a session's transcript is."""
        return self._registry.settings.repository(session.namespace, session.name)

    async def _look(self, session: Session) -> TranscriptReference | None:
        """The transcript of that very session, if the registry has it."""
        repository = self.repository(session)
        try:
            manifest = await self._registry.get_manifest(repository, TAG)
        except NotFoundError:
            return None
        return reference_of(repository, manifest, session.uid)

    async def _bring(self, session: Session, address: str) -> TranscriptReference:
        repository = self.repository(session)
        reader = Checked(self._sidecars.transcript(session, address), session_id(session.name))
        layer = await self._registry.push_blob(repository, reader.parts(), MEDIA_TYPE)
        moment = render(self._clock())
        annotations = {
            UID: session.uid,
            LAST_SEQ: str(reader.last_seq),
            INSTALLATION: self._installation,
            CREATED: moment,
        }
        pushed = await self._registry.push_artifact(repository, TAG, ARTIFACT_TYPE, [layer], annotations)
        return TranscriptReference(
            repository=repository,
            digest=pushed.digest,
            size=layer.size,
            last_seq=reader.last_seq,
            archived_at=moment,
        )


class Checked:
    """A transcript that passes through, and is read on its way: nothing else may get into the registry."""

    def __init__(self, parts: AsyncIterator[bytes], identity: str) -> None:
        self._parts, self._identity = parts, identity
        self.last_seq = 0

    async def parts(self) -> AsyncIterator[bytes]:
        """The bytes as they are. Raises SidecarError if they are no whole transcript of the session."""
        reader = Reader()
        try:
            async for part in self._parts:
                for record in reader.feed(part):
                    if isinstance(record, Header) and record.session_id != self._identity:
                        raise SidecarError("The session's sidecar sends another session's transcript.")
                    if isinstance(record, End):
                        self.last_seq = record.last_seq
                yield part
            reader.finish()
        except TranscriptError as error:
            raise SidecarError(f"The session's sidecar sends no transcript: {error}") from error


def reference_of(repository: str, manifest: Manifest, uid: str) -> TranscriptReference | None:
    """What a manifest says of a session's transcript; None if it is another's."""
    try:
        document = manifest.document
        annotations = document.get("annotations") or {}
        if document.get("artifactType") != ARTIFACT_TYPE or annotations.get(UID) != uid:
            return None
        (layer,) = manifest.layers
        return TranscriptReference(
            repository=repository,
            digest=manifest.digest,
            size=layer.size,
            last_seq=int(annotations[LAST_SEQ]),
            archived_at=annotations[CREATED],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _registry_words(error: RegistryError) -> tuple[str, str]:
    if isinstance(error, UnavailableError):
        return "RegistryUnavailable", f"{error.message[:1].upper()}{error.message[1:]}. It is tried again."
    message = f"{error.message[:1].upper()}{error.message[1:]}. Check the registry's user and what it may do."
    return "RegistryRefused", message
