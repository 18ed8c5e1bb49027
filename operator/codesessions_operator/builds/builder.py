"""Brings a Build from its source to an image: one step a call, each safe to repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from codesessions_builder.dockerfile import LANGUAGE as DOCKERFILE
from codesessions_crds.build import BuildPhase, BuildStatus
from codesessions_crds.conditions import find_condition
from codesessions_crds.names import OPERATOR_MANAGER, session_id
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ConflictError, ForbiddenError, InvalidError, KubeError, NotFoundError
from codesessions_kube.kinds import CODE_SESSION, POD
from codesessions_kube.store import ObjectStore
from codesessions_oci.errors import NotFoundError as NoManifestError
from codesessions_oci.errors import RegistryError
from codesessions_oci.errors import UnavailableError as RegistryUnavailableError
from codesessions_oci.registry import Registry

from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.builds.engine import BuildRequest, BuildSettings, Engine
from codesessions_operator.builds.engines.buildah import Buildah
from codesessions_operator.builds.facts import BuildFacts, BuildState, read_build_pod
from codesessions_operator.builds.jobs import Jobs
from codesessions_operator.builds.logs import keep_log, store_log
from codesessions_operator.builds.order import BuildRecord, reusable
from codesessions_operator.builds.pod import build_pod
from codesessions_operator.builds.source import Source, SourceError, Sources, Workspace
from codesessions_operator.builds.status import moved
from codesessions_operator.clock import now as clock_now
from codesessions_operator.clock import render
from codesessions_operator.desired.common import is_owned

Object = dict[str, Any]
ATTEMPTS = 3
LOG_ATTEMPTS = 8
"""Each waits twice as long as the one before: some two minutes altogether, in which a registry has started anew."""
RETRY = timedelta(seconds=2)
NO_REGISTRY = "RegistryUnavailable"
ZIP, LOG = "zip", "log"
NEEDS_BUILDAH = "needs_buildah"


@dataclass(frozen=True)
class Step:
    """Where a Build is after a step, and when to look again."""

    status: BuildStatus
    again: timedelta | None = None


class Builder:
    """Everything that Builds need of the world."""

    def __init__(
        self,
        client: KubeClient,
        registry: Registry,
        sources: Sources,
        settings: AppSettings,
        builds: BuildSettings,
        choose: Callable[[str, BuildSettings], Engine | None],
        *,
        sessions: ObjectStore,
        pods: ObjectStore,
        organization: Callable[[str], str] = lambda _: "",
        clock: Callable[[], datetime] = clock_now,
    ) -> None:
        self._client, self._registry, self._sources = client, registry, sources
        self._settings, self._builds, self._choose = settings, builds, choose
        self._sessions, self._pods, self._clock = sessions, pods, clock
        self._organization = organization
        self.jobs = Jobs()

    # -- steps

    async def step(self, build: BuildRecord, siblings: Sequence[BuildRecord], wake: Callable[[], None]) -> Step:
        """One step of an unfinished Build. Raises KubeError."""
        overdue = build.begun + timedelta(seconds=build.spec.deadline_seconds) - self._clock()
        if overdue <= timedelta(0):
            seconds = build.spec.deadline_seconds
            return self._end(build, "DeadlineExceeded", f"It was not done within {seconds} s (spec.deadlineSeconds).")
        begins = build.status.phase in {None, BuildPhase.ZIPPING}
        try:
            step = await (self._zip(build, siblings, wake) if begins else self._build(build))
        except RegistryUnavailableError as error:
            phase, message = build.status.phase or BuildPhase.ZIPPING, f"{error.message}. The build waits for it."
            step = Step(self._at(build, phase, NO_REGISTRY, message), RETRY)
        except RegistryError as error:
            step = self._end(build, "RegistryRefused", error.message)
        if step.status.phase is not None and step.status.phase.finished:
            return step
        return Step(step.status, min(step.again or overdue, overdue))

    async def _zip(self, build: BuildRecord, siblings: Sequence[BuildRecord], wake: Callable[[], None]) -> Step:
        spec, repository = build.spec, self.repository(build.namespace, "sources")
        if spec.source_digest:
            try:
                await self._registry.get_manifest(repository, spec.source_digest)
            except NoManifestError:
                message = f"There is no source {spec.source_digest} of this namespace in the registry."
                return self._end(build, "SourceNotFound", message)
            return self._zipped(build, siblings, Source(spec.source_digest, 0))
        workspace, why = await self._workspace(build)
        if why is not None:
            return why
        assert workspace is not None  # noqa: S101 - for the type checker
        key = (build.namespace, build.name, ZIP)
        try:
            source = self.jobs.poll(key, lambda: self._sources.store(workspace, repository, build.name), wake)
        except SourceError as error:
            failures = self.jobs.failures(key)
            if error.transient and (failures < ATTEMPTS or error.code == NO_REGISTRY):
                message = f"{error.message.rstrip('.')}. It is tried again."
                return Step(self._at(build, BuildPhase.ZIPPING, error.code, message), RETRY * min(failures, 10))
            return self._end(build, error.code, error.message)
        if source is None:
            return Step(self._at(build, BuildPhase.ZIPPING, "Zipping", "The session's files are being stored."))
        return self._zipped(build, siblings, source)

    def _zipped(self, build: BuildRecord, siblings: Sequence[BuildRecord], source: Source) -> Step:
        found = build.status.model_copy(
            update={"source_digest": source.digest, "source_bytes": source.size or build.status.source_bytes}
        )
        earlier = reusable(siblings, build, source.digest)
        if earlier is None:
            return Step(self._at(build, BuildPhase.BUILDING, "Building", "The build pod is being started.", found))
        kept = {
            name: getattr(earlier.status, name) for name in ("image", "base_digest", "statement_digest", "language")
        }
        message = f"The source is that of {earlier.name}, and so is the image."
        return Step(self._at(build, BuildPhase.ROLLING_OUT, "Reused", message, found.model_copy(update=kept)))

    async def _workspace(self, build: BuildRecord) -> tuple[Workspace | None, Step | None]:
        name = build.spec.session_name or ""
        resource = self._sessions.get(build.namespace, name)
        if resource is None:  # the store may not know it yet
            try:
                resource = await self._client.get(CODE_SESSION, build.namespace, name)
            except NotFoundError:
                resource = None
        status = (resource or {}).get("status") or {}
        phase, address = status.get("phase"), (status.get("pod") or {}).get("ip")
        ended = resource is None or phase in {"Completed", "Failed"} or resource["spec"].get("state") == "Completed"
        if ended:
            message = (
                f"Session {name} does not run any more, and its files are not there. Roll back, or deploy another."
            )
            return None, self._end(build, "SessionNotRunning", message)
        if phase != "Running" or not address:
            message = f"Session {name} does not run yet."
            return None, Step(self._at(build, BuildPhase.ZIPPING, "SessionStarting", message), RETRY)
        assert resource is not None  # noqa: S101 - for the type checker
        return Workspace(build.namespace, name, resource["metadata"]["uid"], str(address)), None

    async def _build(self, build: BuildRecord) -> Step:
        engine = self._choose(self._engine(build), self._builds)
        if engine is None:
            message = (
                f"This installation has no engine {build.spec.engine.value!r}: the platform team sets"
                " build.runtimeImage (layers) or build.buildah.image (buildah) in the chart's values."
            )
            return self._end(build, "EngineNotAvailable", message)
        pod = self._pod(build)
        if pod is None:
            if build.status.pod is not None and (build.status.attempts or 0) >= ATTEMPTS:
                return self._end(build, "PodLost", f"The build pod was lost {ATTEMPTS} times. {_said(build)}".rstrip())
            if build.status.attempts:
                await self._registry.check()
            return await self._start(build, engine)
        facts = read_build_pod(pod)
        if facts.state is BuildState.RUNNING:
            return Step(self._at(build, BuildPhase.BUILDING, facts.reason, facts.message))
        if facts.state is BuildState.DONE:
            return await self._built(build, facts)
        if facts.state is BuildState.LOST and (build.status.attempts or 0) < ATTEMPTS:
            if not pod["metadata"].get("deletionTimestamp"):
                await self._delete(build, pod)
            message = f"{facts.message} It is started again."
            return Step(self._at(build, BuildPhase.BUILDING, facts.reason, message), RETRY)
        if facts.result.code == NEEDS_BUILDAH and await self._has_buildah(build, pod):
            found = build.status.model_copy(update={"language": DOCKERFILE})
            message = "There is a Dockerfile: buildah builds it."
            return Step(self._at(build, BuildPhase.BUILDING, "Building", message, found), RETRY)
        return self._end(build, facts.reason, facts.message)

    def _engine(self, build: BuildRecord) -> str:
        """`auto` is the engine `layers`, until that has found a Dockerfile."""
        asked = build.spec.engine.value
        return Buildah.name if asked == "auto" and build.status.language == DOCKERFILE else asked

    async def _has_buildah(self, build: BuildRecord, pod: Object) -> bool:
        if build.spec.engine.value != "auto" or self._choose(Buildah.name, self._builds) is None:
            return False
        if not pod["metadata"].get("deletionTimestamp"):
            await self._delete(build, pod)
        return True

    async def _start(self, build: BuildRecord, engine: Engine) -> Step:
        body = build_pod(engine, self._request(build), self._builds, build.uid)
        try:
            pod = await self._client.create(POD, build.namespace, body, manager=OPERATOR_MANAGER)
        except ConflictError:
            try:
                pod = await self._client.get(POD, build.namespace, build.name)
            except NotFoundError:
                return Step(build.status, RETRY)
            if not is_owned(pod, build.uid):
                return self._end(build, "NameTaken", f"Pod {build.name} exists and is not this Build's.")
        except ForbiddenError as error:
            if error.is_quota:
                message = f"The build pod waits for quota: {error.message}"
                return Step(self._at(build, BuildPhase.BUILDING, "QuotaExceeded", message), 5 * RETRY)
            advice = engine.refused.format(namespace=build.namespace)
            return self._end(build, "PodRefused", f"The build pod is refused: {error.message} {advice}".rstrip())
        except InvalidError as error:
            return self._end(build, "PodInvalid", f"The build pod is not valid: {error.message}")
        self._pods.put(pod)
        spec = body["spec"]
        names = [each["name"] for each in (*spec.get("initContainers", ()), *spec["containers"])]
        tries = (build.status.attempts or 0) + 1
        found = build.status.model_copy(update={"pod": build.name, "containers": names, "attempts": tries})
        return Step(self._at(build, BuildPhase.BUILDING, "Building", "The build pod is being started.", found))

    async def _built(self, build: BuildRecord, facts: BuildFacts) -> Step:
        repository, result = self.repository(build.namespace, build.spec.app_name), facts.result
        try:
            await self._registry.get_manifest(repository, result.image_digest)
        except NoManifestError:
            return self._end(
                build, "ImageMissing", f"The build names {result.image_digest}, which is not in the registry."
            )
        found = build.status.model_copy(
            update={
                "image": self._registry.settings.image(repository, result.image_digest),
                "base_digest": result.base_digest or None,
                "statement_digest": result.statement_digest or None,
                "language": result.language or None,
            }
        )
        return Step(self._at(build, BuildPhase.ROLLING_OUT, "RollingOut", "The image is being rolled out.", found))

    # -- the end

    async def clean_up(self, build: BuildRecord, wake: Callable[[], None]) -> BuildStatus:
        """Keep the log of a Build whose pod has ended or is not needed any more, and delete the pod.

        Raises KubeError.
        """
        self.jobs.forget(build.namespace, build.name, ZIP)
        pod, key = self._pod(build), (build.namespace, build.name, LOG)
        speaks = pod is not None or (build.status.phase is BuildPhase.FAILED and build.status.attempts is None)
        status = build.status
        if speaks and status.log_digest is None and self.jobs.failures(key) < LOG_ATTEMPTS:
            try:
                digest: str | None = self.jobs.poll(key, lambda: self._keep_log(build, pod), wake)
            except (KubeError, RegistryError, TimeoutError):
                # once more, or on without it
                asyncio.get_running_loop().call_later(0.5 * 2 ** self.jobs.failures(key), wake)
                return status
            if digest is None:
                return status
            return status.model_copy(update={"log_digest": digest})  # the pod goes once this is written
        if pod is not None and not pod["metadata"].get("deletionTimestamp"):
            await self._delete(build, pod)
        if pod is None and status.log_digest is not None:
            self.jobs.forget(build.namespace, build.name, LOG)
        return status

    async def _keep_log(self, build: BuildRecord, pod: Object | None) -> str:
        repository, note = self.repository(build.namespace, "logs"), self._note(build)
        if pod is None:
            return await store_log(self._registry, repository, build.name, note.encode())
        return await keep_log(self._client, self._registry, pod, repository, note)

    def _note(self, build: BuildRecord) -> str:
        ready = find_condition(build.status.conditions, "Ready")
        if ready is None or build.status.phase not in {BuildPhase.FAILED, BuildPhase.CANCELLED, BuildPhase.SUPERSEDED}:
            return ""
        return f"{build.status.phase}: {ready.reason}: {ready.message}\n"

    # -- parts

    def repository(self, namespace: str, name: str) -> str:
        """A repository of a namespace."""
        return self._registry.settings.repository(namespace, name)

    def _at(
        self, build: BuildRecord, phase: BuildPhase, reason: str, message: str, status: BuildStatus | None = None
    ) -> BuildStatus:
        now = render(self._clock())
        return moved(status or build.status, phase, reason, message, generation=build.generation, now=now)

    def _end(self, build: BuildRecord, reason: str, message: str) -> Step:
        return Step(self._at(build, BuildPhase.FAILED, reason, message))

    def _pod(self, build: BuildRecord) -> Object | None:
        pod = self._pods.get(build.namespace, build.name)
        return pod if pod is not None and is_owned(pod, build.uid) else None

    async def _delete(self, build: BuildRecord, pod: Object) -> None:
        try:
            await self._client.delete(POD, build.namespace, build.name, uid=pod["metadata"]["uid"])
        except (NotFoundError, ConflictError):
            return

    def _request(self, build: BuildRecord) -> BuildRequest:
        left = build.begun + timedelta(seconds=build.spec.deadline_seconds) - self._clock()
        return BuildRequest(
            namespace=build.namespace,
            build=build.name,
            app=build.spec.app_name,
            source_digest=build.status.source_digest or "",
            source_repository=self.repository(build.namespace, "sources"),
            image_repository=self.repository(build.namespace, build.spec.app_name),
            engine=build.spec.engine.value,
            session_id=session_id(build.spec.session_name) if build.spec.session_name else "",
            user_id=build.spec.user_id,
            organization_id=self._organization(build.namespace),
            requested_at=build.spec.requested_at or render(build.created),
            deadline_seconds=max(1, int(left.total_seconds())),
            attempt=(build.status.attempts or 0) + 1,
            credentials_secret=self._settings.build_credentials_secret,
        )


def _said(build: BuildRecord) -> str:
    """What was said of a Build last."""
    ready = find_condition(build.status.conditions, "Ready")
    return (ready.message or "") if ready else ""
