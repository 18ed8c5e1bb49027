"""One pass over one session: level-based, and safe to repeat at any moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from codesessions_crds.codesession import CodeSession, CodeSessionSpec, CodeSessionStatus, Phase
from codesessions_crds.names import API_VERSION, KEY_LABEL, STATUS_MANAGER, workspace_name
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import NotFoundError
from codesessions_kube.kinds import CODE_SESSION
from codesessions_kube.logs import request_fields
from codesessions_kube.store import Key, ObjectStore, version_of
from pydantic import ValidationError

from codesessions_operator import events
from codesessions_operator.apply import Applier
from codesessions_operator.archiver import Archiver
from codesessions_operator.archiving import FINAL, LOST
from codesessions_operator.clock import now, parse
from codesessions_operator.decision import NO_ATTEMPT, Action, Observed, Plan
from codesessions_operator.desired.archivepod import is_archive_pod
from codesessions_operator.desired.common import Session, is_owned, owner_of
from codesessions_operator.errors import StalledError, WaitingError
from codesessions_operator.networkpolicies import NetworkPolicies
from codesessions_operator.plan import COMPLETED_ON_REQUEST, blocked, decide, refused
from codesessions_operator.settings import Settings
from codesessions_operator.status import next_status

Object = dict[str, Any]
_NOTHING_KNOWN = CodeSessionSpec(project_name="-")
"""The spec of a session that is gone."""
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=2), timedelta(seconds=30)

_log = logging.getLogger(__name__)


class Reconciler:
    """Brings sessions to what they want to be."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        applier: Applier,
        policies: NetworkPolicies,
        *,
        sessions: ObjectStore,
        pods: ObjectStore,
        claims: ObjectStore,
        archiver: Archiver | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._client, self._settings, self._applier, self._policies = client, settings, applier, policies
        self._sessions, self._pods, self._claims = sessions, pods, claims
        self._archiver = archiver
        self._clock = clock
        self._blocked: dict[Key, int] = {}

    async def reconcile(self, key: Key) -> timedelta | None:
        """Do what is to be done for a session now; returns when to look again at the latest.

        Raises KubeError if the API server does not answer; the pass is then repeated.
        """
        resource = self._sessions.get(*key)
        observed = self._observe(resource) if resource is not None else None
        if resource is None or observed is None:
            self._blocked.pop(key, None)
            if resource is None or resource["metadata"].get("deletionTimestamp"):
                await self._abandon(key)
            return None
        plan = decide(observed)
        if {Action.CREATE, Action.MAKE_ARCHIVE_POD} & set(plan.actions):
            # Nothing is made for what a cache says alone: it may have missed that the session was ended or deleted.
            latest = await self._read_again(resource)
            if latest is None or version_of(latest) != version_of(resource):
                return timedelta(0)
        pod = observed.pod
        try:
            pod = await self._carry_out(observed, plan)
        except StalledError as error:
            plan = refused(observed, error.reason, error.message)
        except WaitingError as error:
            plan = self._wait(key, blocked(observed, error.reason, error.message))
        else:
            self._blocked.pop(key, None)
        if pod is not None and not plan.phase.finished:
            await self._keep_policies(key[0])
        if Action.DELETE_SESSION not in plan.actions and not plan.passing:
            await self._write_down(resource, observed, plan, pod)
            if self._archiver is not None and plan.archived is not None and plan.archived.reason in FINAL:
                self._archiver.forget(key)
        return plan.again

    async def _abandon(self, key: Key) -> None:
        """The session was deleted: its pod goes with it, and need not stay to have its transcript read."""
        if self._archiver is None:
            return
        pod = self._pods.get(key[0], workspace_name(key[1]))
        uid = owner_of(pod) if pod is not None else None
        address = ((pod or {}).get("status") or {}).get("podIP")
        session = Session(namespace=key[0], name=key[1], uid=uid, spec=_NOTHING_KNOWN) if uid is not None else None
        if session is not None and address is not None and await self._lives(session):
            return
        await self._archiver.abandon(key, session, address)

    async def _lives(self, session: Session) -> bool:
        """Whether the API server has that very session: at the start of this program pods are known earlier."""
        try:
            latest = await self._client.get(CODE_SESSION, session.namespace, session.name)
        except NotFoundError:
            return False
        return latest["metadata"]["uid"] == session.uid and not latest["metadata"].get("deletionTimestamp")

    async def _keep_policies(self, namespace: str) -> None:
        """What an upgrade brings is for workspaces that run, too, and what somebody took away is put back."""
        try:
            await self._policies.ensure(namespace)
        except WaitingError as error:
            _log.warning("%s: %s", namespace, error.message)

    def _wait(self, key: Key, plan: Plan) -> Plan:
        """Try again after a growing delay."""
        if plan.phase.finished:
            return plan
        tries = self._blocked[key] = self._blocked.get(key, 0) + 1
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(tries - 1, 5))
        return replace(plan, again=min(plan.again or delay, delay))

    async def _read_again(self, resource: Object) -> Object | None:
        """The session as the API server has it now, kept in the store; None if that very session is gone."""
        metadata = resource["metadata"]
        try:
            latest = await self._client.get(CODE_SESSION, metadata["namespace"], metadata["name"])
        except NotFoundError:
            self._forget(resource)
            return None
        self._sessions.put(latest)
        return latest

    def _forget(self, resource: Object) -> None:
        metadata = resource["metadata"]
        self._sessions.remove((metadata["namespace"], metadata["name"]), version_of(resource))

    def _observe(self, resource: Object) -> Observed | None:
        """What is known of a session; None if it is being deleted or is of no form that this operator knows."""
        metadata = resource["metadata"]
        if metadata.get("deletionTimestamp"):
            return None
        try:
            model = CodeSession.model_validate(resource)
        except ValidationError as error:
            _log.error("%s/%s cannot be read: %s", metadata["namespace"], metadata["name"], error)
            return None
        session = Session(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"], spec=model.spec)
        pod = self._pods.get(session.namespace, session.child)
        claim = self._claims.get(session.namespace, session.child)
        moment = self._clock()
        return Observed(
            session=session,
            created=parse(metadata.get("creationTimestamp")) or moment,
            status=model.status or CodeSessionStatus(),
            pod=pod if pod is not None and is_owned(pod, session.uid) else None,
            claim=claim if claim is not None and is_owned(claim, session.uid) else None,
            now=moment,
            registry=self._archiver is not None,
            archive_time=self._settings.archive_time,
            keyed=KEY_LABEL in (metadata.get("labels") or {}),
            request=request_fields(metadata.get("annotations")),
            attempt=self._archiver.attempt(session) if self._archiver is not None else NO_ATTEMPT,
        )

    async def _carry_out(self, observed: Observed, plan: Plan) -> Object | None:
        """Do the plan's actions; returns the pod as it is then."""
        session, pod = observed.session, observed.pod
        for action in plan.actions:
            if action is Action.CREATE:
                await self._policies.ensure(session.namespace)
                pod = await self._applier.create(session)
                self._pods.put(pod)
            elif action is Action.DELETE_POD and pod is not None:
                await self._applier.delete_pod(session, pod["metadata"]["uid"])
            elif action is Action.DELETE_SESSION:
                await self._applier.delete_session(session)
            elif self._archiver is not None:
                await self._archive(self._archiver, observed, action)
        return pod

    async def _archive(self, archiver: Archiver, observed: Observed, action: Action) -> None:
        """Do one of the actions about a transcript. What is in the way is noted, and tried again."""
        session, transcript = observed.session, observed.status.transcript
        address = ((observed.pod or {}).get("status") or {}).get("podIP")
        if action is Action.DELETE_TRANSCRIPT:
            if transcript is not None:
                await archiver.delete(transcript)
            return
        try:
            await self._policies.ensure(session.namespace)  # one of an earlier version keeps this program out
            if action is Action.FETCH:
                archiver.fetch(session, address)
            elif action is Action.HOLD and address:
                await archiver.hold(session, address)
            elif action is Action.RELEASE and address:
                await archiver.release(session, address)
            elif action is Action.MAKE_ARCHIVE_POD:
                others = sum(1 for each in self._pods.items() if is_archive_pod(each))
                if await archiver.may_make_pod(session, others):
                    self._pods.put(await self._applier.create_archive_pod(session))
        except WaitingError as error:
            archiver.failed(session, error.reason, error.message)

    async def _write_down(self, resource: Object, observed: Observed, plan: Plan, pod: Object | None) -> None:
        fresh = next_status(
            observed,
            plan,
            generation=resource["metadata"].get("generation", 0),
            pty_base_url=self._settings.pty_base_url,
            pod=pod,
        )
        if fresh == observed.status:
            return
        session = observed.session
        metadata = {"name": session.name, "namespace": session.namespace, "uid": session.uid}
        body = {"apiVersion": API_VERSION, "kind": "CodeSession", "metadata": metadata, "status": fresh.to_dict()}
        try:
            written = await self._client.apply_status(CODE_SESSION, session.namespace, body, manager=STATUS_MANAGER)
        except NotFoundError:
            self._forget(resource)
            return
        self._sessions.put(written)
        await self._tell(observed, plan)
        await self._tell_of_transcript(observed, plan)

    async def _tell(self, observed: Observed, plan: Plan) -> None:
        """An event when a session begins to run, loses its pod, or ends without having been asked to."""
        old = observed.ready
        if old is not None and (observed.status.phase, old.reason) == (plan.phase, plan.reason):
            return
        moved = observed.status.phase is not plan.phase
        if not plan.warning and not (moved and (plan.phase is Phase.RUNNING or plan.phase.finished)):
            return
        session = observed.session
        line = (session.namespace, session.name, plan.phase, plan.reason)
        _log.info("%s/%s: %s (%s)", *line, extra={"fields": dict(observed.request)})
        if plan.reason == COMPLETED_ON_REQUEST:
            return
        await events.record(self._client, session, warning=plan.warning, reason=plan.reason, message=plan.message)

    async def _tell_of_transcript(self, observed: Observed, plan: Plan) -> None:
        """An event when a transcript is lost; that one is safe is worth a condition and no more."""
        new, old = plan.archived, observed.archived
        if new is None or new.reason != LOST or (old is not None and old.reason == new.reason):
            return
        _log.info("%s/%s: %s", observed.session.namespace, observed.session.name, new.reason)
        await events.record(self._client, observed.session, warning=True, reason=new.reason, message=new.message)
