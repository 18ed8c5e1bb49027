"""One pass over one App and its Builds: level-based, and safe to repeat at any moment."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from codesessions_crds.app import AppPhase, AppStatus, Revision
from codesessions_crds.build import BuildPhase, BuildStatus
from codesessions_crds.conditions import find_condition
from codesessions_crds.names import API_VERSION, BUILD_LABEL, KEY_LIFE, OPERATOR_MANAGER, STATUS_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from codesessions_kube.kinds import APP, BUILD, DEPLOYMENT, HTTP_ROUTE, INGRESS, SERVICE, Kind
from codesessions_kube.store import Key, ObjectStore

from codesessions_operator import events
from codesessions_operator.apps import objects, plan
from codesessions_operator.apps.facts import Rollout, RolloutFacts, read_health, read_rollout, revision_of
from codesessions_operator.apps.lastwords import LastWords
from codesessions_operator.apps.plan import AppRecord
from codesessions_operator.apps.records import app_record, build_records
from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.builds.builder import LOG, ZIP, Builder
from codesessions_operator.builds.order import BuildRecord, superfluous
from codesessions_operator.builds.status import moved
from codesessions_operator.clock import now as clock_now
from codesessions_operator.clock import parse, render
from codesessions_operator.desired.common import is_owned
from codesessions_operator.facts import tail

Object = dict[str, Any]
STEPS = 4
APPLY_EVERY = 600.0
NO_APP = "AppNotFound"
_KINDS: dict[str, Kind] = {each.kind: each for each in (DEPLOYMENT, SERVICE, INGRESS, HTTP_ROUTE)}
_log = logging.getLogger(__name__)


@dataclass
class Pass:
    """What a pass has found out so far."""

    record: AppRecord
    status: AppStatus
    builds: list[BuildRecord]
    again: list[timedelta] = field(default_factory=list)
    refused: str = ""
    """Why the cluster does not take what the App wants."""

    def put(self, build: BuildRecord) -> None:
        """Take a Build's new state."""
        self.builds = [build if each.name == build.name else each for each in self.builds]


class AppReconciler:
    """Brings Apps and their Builds to what they want to be."""

    def __init__(
        self,
        client: KubeClient,
        settings: AppSettings,
        pull_policy: str,
        builder: Builder | None,
        *,
        apps: ObjectStore,
        builds: ObjectStore,
        deployments: ObjectStore,
        pods: ObjectStore,
        wake: Callable[[Key], None],
        pruned: Callable[[str], None] = lambda _: None,
        clock: Callable[[], datetime] = clock_now,
    ) -> None:
        self._client, self._settings, self._pull_policy, self._builder = client, settings, pull_policy, builder
        self._apps, self._builds, self._deployments, self._pods = apps, builds, deployments, pods
        self._wake, self._pruned, self._clock = wake, pruned, clock
        self._applied: dict[Key, tuple[str, float]] = {}
        self._last_words = LastWords(client)

    async def reconcile(self, key: Key) -> timedelta | None:
        """Do what is to be done for an App now; returns when to look again at the latest.

        Raises KubeError, or RegistryError, if one of them does not answer; the pass is then repeated.
        """
        resource = self._apps.get(*key)
        builds = build_records(self._builds.find("/".join(key)))
        record = app_record(resource) if resource is not None else None
        if resource is None or record is None or resource["metadata"].get("deletionTimestamp"):
            await self._without_app(key, builds, gone=resource is None)
            return None
        state = Pass(record, record.status, builds)
        await self._ask_for_build(state)
        await self._advance(key, state)
        self._revise(state)
        target, facts = await self._roll_out(key, state)
        await self._write(key, state, target, facts)
        await self._prune(state)
        return min(state.again, default=None)

    async def _without_app(self, key: Key, builds: list[BuildRecord], *, gone: bool) -> None:
        """Builds go with their App. One whose App is yet to come waits for it."""
        self._applied.pop(key, None)
        for build in builds:
            if self._builder is not None:
                self._builder.jobs.forget(build.namespace, build.name, ZIP, LOG)
            if not gone:
                continue
            if build.status.phase is None or _reason(build.status) == NO_APP:
                message = f"There is no App {build.spec.app_name}: create it, or delete this Build."
                await self._write_build(build, self._end(build, BuildPhase.ZIPPING, NO_APP, message))
                continue
            try:
                await self._client.delete(BUILD, build.namespace, build.name, uid=build.uid)
            except (NotFoundError, ConflictError):
                continue
        self._pruned(key[0])

    # -- Builds

    async def _ask_for_build(self, state: Pass) -> None:
        """A Build for an App whose source was named by hand."""
        app, source = state.record.application, state.record.application.spec.source
        newest = state.builds[-1] if state.builds else None
        if source is None or (newest is not None and newest.spec.source_digest == source):
            return
        seed = f"{app.uid} {source} {newest.name if newest else ''}"
        name = "bld-" + hashlib.sha256(seed.encode()).hexdigest()[:16]
        metadata = {"name": name, "namespace": app.namespace, "ownerReferences": [objects.owner(app)]}
        spec = {"appName": app.name, "sourceDigest": source}
        body = {"apiVersion": API_VERSION, "kind": BUILD.kind, "metadata": metadata, "spec": spec}
        try:
            self._builds.put(await self._client.create(BUILD, app.namespace, body, manager=OPERATOR_MANAGER))
        except ConflictError:
            return
        state.builds = build_records(self._builds.find(f"{app.namespace}/{app.name}"))

    async def _advance(self, key: Key, state: Pass) -> None:
        """Every Build one or more steps on."""
        newest = state.builds[-1] if state.builds else None
        for build in state.builds:
            found = build
            if not build.finished and build.spec.cancelled:
                found = self._end(build, BuildPhase.CANCELLED, "Cancelled", "It was cancelled.")
            elif not build.finished and newest is not None and build.name != newest.name:
                found = self._end(build, BuildPhase.SUPERSEDED, "Superseded", f"{newest.name} is newer.")
            elif build.status.phase in {None, BuildPhase.ZIPPING, BuildPhase.BUILDING}:
                found = await self._step(key, state, build)
            if found.finished and self._builder is not None:
                status = await self._builder.clean_up(found, lambda: self._wake(key))
                found = replace(found, status=status)
            await self._write_build(build, found)
            state.put(found)

    async def _step(self, key: Key, state: Pass, build: BuildRecord) -> BuildRecord:
        if self._builder is None:
            message = "No registry is configured: set registry.url, or registry.bundled.enabled, in the chart."
            return self._end(build, BuildPhase.FAILED, "RegistryNotConfigured", message)
        for _ in range(STEPS):
            before = build.status.phase
            step = await self._builder.step(build, state.builds, lambda: self._wake(key))
            build = replace(build, status=step.status)
            if before is step.status.phase or build.finished or build.status.phase is BuildPhase.ROLLING_OUT:
                if step.again is not None:
                    state.again.append(step.again)
                break
        return build

    def _end(self, build: BuildRecord, phase: BuildPhase, reason: str, message: str) -> BuildRecord:
        now = render(self._clock())
        return replace(build, status=moved(build.status, phase, reason, message, generation=build.generation, now=now))

    # -- revisions

    def _revise(self, state: Pass) -> None:
        """New revisions, of images that Builds made or that the App names."""
        app, now = state.record.application, render(self._clock())
        for build in state.builds:
            if build.status.phase is BuildPhase.ROLLING_OUT and build.status.image:
                state.status, revision = plan.with_revision(
                    state.status, build.status.image, build.name, build.status.source_digest, now
                )
                state.put(replace(build, status=build.status.model_copy(update={"revision": revision.number})))
        if app.spec.image is not None:
            known = state.status.revisions or []
            if not known or known[-1].image != app.spec.image:
                state.status, _ = plan.with_revision(state.status, app.spec.image, None, None, now)
        changed = state.record.generation != (state.status.observed_generation or state.record.generation)
        if changed and plan.target_of(app.spec, state.status) is None and app.spec.revision is None:
            state.status = plan.retried(state.status)

    async def _roll_out(self, key: Key, state: Pass) -> tuple[Revision | None, RolloutFacts | None]:
        """Apply the revision to run and see how it is; one that does not come up gives way to the one before."""
        spec = state.record.application.spec
        while True:
            target = plan.target_of(spec, state.status)
            await self._apply(key, state, target)
            if target is None:
                return None, None
            facts = await self._look(state, target)
            if facts.rollout is Rollout.BROKEN and state.status.revision != target.number and spec.revision is None:
                state.status = plan.failed(state.status, target.number, facts.message)
                self._settle(state, target.number, BuildPhase.FAILED, facts)
                continue
            if facts.rollout is Rollout.AVAILABLE:
                state.status = state.status.model_copy(update={"revision": target.number, "image": target.image})
                self._settle(state, target.number, BuildPhase.SUCCEEDED, facts)
            if spec.revision is not None:
                elsewhere = RolloutFacts(facts.rollout, "NotRolledOut", f"The App asks for revision {spec.revision}.")
                self._settle(state, None, BuildPhase.SUCCEEDED, elsewhere, but=target.number)
            return target, facts

    async def _look(self, state: Pass, target: Revision) -> RolloutFacts:
        app, moment = state.record.application, self._clock()
        if state.status.target_revision != target.number:
            state.status = state.status.model_copy(
                update={"target_revision": target.number, "rollout_started_at": render(moment)}
            )
        pods = await self._pods_of(state.record)
        facts = read_rollout(self._deployment(state.record), pods, target.number, app.spec.replicas, moment)
        if facts.rollout is not Rollout.PROGRESSING or state.status.revision == target.number:
            return facts
        begun = parse(state.status.rollout_started_at) or moment
        left = begun + timedelta(seconds=app.spec.rollout_timeout_seconds) - moment
        if left > timedelta(0):
            state.again.append(min(left, timedelta(seconds=30)))
            return facts
        message = (
            f"It is not available after {app.spec.rollout_timeout_seconds} s (rolloutTimeoutSeconds). {facts.message}"
        )
        said = await self._last_words.of_waiting(revision_of(pods, target.number))
        if said:
            message += f" Its last lines:\n{tail(said)}"
        return RolloutFacts(Rollout.BROKEN, "RolloutTimeout", message, facts.available)

    def _settle(
        self, state: Pass, number: int | None, phase: BuildPhase, facts: RolloutFacts, *, but: int | None = None
    ) -> None:
        """End the Builds that wait for the rollout of a revision (None: of any but one)."""
        for build in state.builds:
            mine = build.status.revision == number if number is not None else build.status.revision != but
            if build.status.phase is BuildPhase.ROLLING_OUT and mine:
                state.put(self._end(build, phase, facts.reason, facts.message))

    async def _apply(self, key: Key, state: Pass, target: Revision | None) -> None:
        """Service, route and Deployment by server-side apply, when they are not known to be as they should."""
        record = state.record
        app = record.application
        bodies = [objects.service(app), objects.route(app, self._settings)]
        if target is not None:
            bodies.append(objects.deployment(app, target, self._settings, self._pull_policy))
        digest = hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()
        known, moment = self._applied.get(key, ("", 0.0))
        missing = target is not None and self._deployment(record) is None
        if known == digest and not missing and time.monotonic() - moment < APPLY_EVERY:
            return
        for body in bodies:
            if body is not None:
                kind = _KINDS[body["kind"]]
                try:
                    made = await self._client.apply(kind, app.namespace, body, manager=OPERATOR_MANAGER)
                except (ForbiddenError, InvalidError, NotFoundError) as error:
                    state.refused = f"{kind.kind} {app.name} is refused: {error.message}"
                    state.again.append(timedelta(seconds=10))
                    return
                if kind is DEPLOYMENT:
                    self._deployments.put(made)
        self._applied[key] = (digest, time.monotonic())

    def _deployment(self, record: AppRecord) -> Object | None:
        app = record.application
        found = self._deployments.get(app.namespace, app.name)
        return found if found is not None and is_owned(found, app.uid) else None

    async def _pods_of(self, record: AppRecord) -> list[Object]:
        """The pods that serve, with their last lines."""
        app = record.application
        found = self._pods.find(f"{app.namespace}/{app.name}")
        serving = [pod for pod in found if BUILD_LABEL not in (pod["metadata"].get("labels") or {})]
        return await self._last_words.complete(serving)

    # -- what is written down

    async def _write(self, key: Key, state: Pass, target: Revision | None, facts: RolloutFacts | None) -> None:
        record, app = state.record, state.record.application
        health = read_health(self._deployment(record), await self._pods_of(record))
        verdict = plan.judge(app.spec, state.status, state.builds, target, facts, health)
        if state.refused:
            verdict = plan.Verdict(AppPhase.FAILED, False, "Refused", state.refused)
        host = objects.host_of(app, self._settings)
        fresh = plan.next_status(
            record,
            plan.trimmed(app.spec, state.status, target),
            verdict,
            facts,
            build=state.builds[-1].name if state.builds else None,
            host=host,
            url=objects.url_of(host, self._settings),
            now=render(self._clock()),
        )
        state.status = fresh
        if fresh != record.status:
            metadata = {"name": app.name, "namespace": app.namespace, "uid": app.uid}
            body = {"apiVersion": API_VERSION, "kind": APP.kind, "metadata": metadata, "status": fresh.to_dict()}
            try:
                written = await self._client.apply_status(APP, app.namespace, body, manager=STATUS_MANAGER)
            except NotFoundError:
                return
            self._apps.put(written)
            before = (record.status.phase, _reason(record.status))
            if before != (verdict.phase, verdict.reason) and verdict.phase.value != "Deploying":
                _log.info("%s/%s: %s (%s)", app.namespace, app.name, verdict.phase, verdict.reason)
                await events.record_about(
                    self._client,
                    APP.kind,
                    (app.namespace, app.name, app.uid),
                    warning=verdict.phase.value == "Failed",
                    reason=verdict.reason,
                    message=verdict.message,
                )
        known = {each["metadata"]["name"]: each for each in self._builds.find("/".join(key))}
        for build in state.builds:
            if build.name in known:
                old = build_records([known[build.name]])
                if old:
                    await self._write_build(old[0], build)

    async def _write_build(self, old: BuildRecord, new: BuildRecord) -> None:
        if new.status == old.status:
            return
        metadata = {"name": new.name, "namespace": new.namespace, "uid": new.uid}
        body = {"apiVersion": API_VERSION, "kind": BUILD.kind, "metadata": metadata, "status": new.status.to_dict()}
        try:
            written = await self._client.apply_status(BUILD, new.namespace, body, manager=STATUS_MANAGER)
        except NotFoundError:
            return
        self._builds.put(written)
        if new.status.phase is not old.status.phase:
            ready = find_condition(new.status.conditions, "Ready")
            line = (new.namespace, new.name, new.status.phase)
            _log.info("%s/%s: %s", *line, extra={"fields": dict(new.request)})
            await events.record_about(
                self._client,
                BUILD.kind,
                (new.namespace, new.name, new.uid),
                warning=new.status.phase is BuildPhase.FAILED,
                reason=ready.reason if ready else str(new.status.phase),
                message=ready.message if ready else "",
            )

    async def _prune(self, state: Pass) -> None:
        """Give up the Builds that nobody needs: at once what they left in the registry, after a while their records."""
        kept = {each.build for each in state.status.revisions or () if each.build}
        limit, moment = state.record.application.spec.revision_history_limit, self._clock()
        least = timedelta(seconds=int(self._settings.build_kept_seconds))
        swept = False
        for build in superfluous(state.builds, kept, limit):
            if moment - build.created >= max(least, KEY_LIFE if build.keyed else least):
                try:
                    await self._client.delete(BUILD, build.namespace, build.name, uid=build.uid)
                except (NotFoundError, ConflictError):
                    continue
            elif not build.status.pruned:
                status = build.status.model_copy(update={"pruned": True})
                await self._write_build(build, replace(build, status=status))
            else:
                continue
            swept = True
        if swept:
            self._pruned(state.record.application.namespace)


def _reason(status: AppStatus | BuildStatus) -> str:
    ready = find_condition(status.conditions, "Ready")
    return ready.reason if ready else ""
