"""One pass over one session: level-based, and safe to repeat at any moment."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from codesessions_crds.codesession import CodeSession, CodeSessionStatus, Phase
from codesessions_crds.names import API_VERSION, STATUS_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import NotFoundError
from codesessions_kube.kinds import CODE_SESSION
from codesessions_kube.store import Key, ObjectStore
from pydantic import ValidationError

from codesessions_operator import events
from codesessions_operator.apply import Applier
from codesessions_operator.clock import now, parse
from codesessions_operator.desired.common import Session, is_owned
from codesessions_operator.errors import StalledError, WaitingError
from codesessions_operator.networkpolicies import NetworkPolicies
from codesessions_operator.plan import Action, Observed, Plan, blocked, decide, refused
from codesessions_operator.settings import Settings
from codesessions_operator.status import next_status

Object = dict[str, Any]
RETRY = timedelta(seconds=5)

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
    ) -> None:
        self._client, self._settings, self._applier, self._policies = client, settings, applier, policies
        self._sessions, self._pods, self._claims = sessions, pods, claims

    async def reconcile(self, key: Key) -> timedelta | None:
        """Do what is to be done for a session now; returns when to look again at the latest.

        Raises KubeError if the API server does not answer; the pass is then repeated.
        """
        resource = self._sessions.get(*key)
        if resource is None or resource["metadata"].get("deletionTimestamp"):
            return None
        try:
            observed = self._observe(resource)
        except ValidationError as error:
            _log.error("%s/%s cannot be read: %s", *key, error)
            return None
        plan = decide(observed)
        pod, replaced = observed.pod, False
        try:
            pod, replaced = await self._carry_out(observed, plan)
        except StalledError as error:
            plan = refused(observed, error.reason, error.message)
        except WaitingError as error:
            plan = blocked(observed, error.reason, error.message)
            plan = Plan(**{**plan.__dict__, "again": min(plan.again or RETRY, RETRY)})
        if Action.DELETE_SESSION not in plan.actions:
            await self._write_down(resource, observed, plan, pod, replaced)
        return plan.again

    def _observe(self, resource: Object) -> Observed:
        metadata = resource["metadata"]
        model = CodeSession.model_validate(resource)
        session = Session(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"], spec=model.spec)
        pod = self._pods.get(session.namespace, session.child)
        claim = self._claims.get(session.namespace, session.child)
        moment = now()
        return Observed(
            session=session,
            created=parse(metadata.get("creationTimestamp")) or moment,
            status=model.status or CodeSessionStatus(),
            pod=pod if pod is not None and is_owned(pod, session.uid) else None,
            claim=claim if claim is not None and is_owned(claim, session.uid) else None,
            now=moment,
        )

    async def _carry_out(self, observed: Observed, plan: Plan) -> tuple[Object | None, bool]:
        """Do the plan's actions; returns the pod as it is then, and whether it replaces a lost one."""
        session, pod, replaced = observed.session, observed.pod, False
        for action in plan.actions:
            if action is Action.CREATE:
                await self._policies.ensure(session.namespace)
                pod, made = await self._applier.create(session)
                self._pods.put(pod)
                replaced = plan.lost_pod and made
            elif action is Action.DELETE_POD and pod is not None:
                await self._applier.delete_pod(session, pod["metadata"]["uid"])
            elif action is Action.DELETE_SESSION:
                await self._applier.delete_session(session)
        return pod, replaced

    async def _write_down(
        self, resource: Object, observed: Observed, plan: Plan, pod: Object | None, replaced: bool
    ) -> None:
        old = observed.status
        fresh = next_status(
            observed,
            plan,
            generation=resource["metadata"].get("generation", 0),
            pty_base_url=self._settings.pty_base_url,
            pod=pod,
            replaced=replaced,
        )
        if fresh == old:
            return
        metadata = {"name": observed.session.name, "namespace": observed.session.namespace, "uid": observed.session.uid}
        body = {"apiVersion": API_VERSION, "kind": "CodeSession", "metadata": metadata, "status": fresh.to_dict()}
        try:
            written = await self._client.apply_status(
                CODE_SESSION, observed.session.namespace, body, manager=STATUS_MANAGER
            )
        except NotFoundError:
            return
        self._sessions.put(written)
        await self._tell(observed, plan, fresh)

    async def _tell(self, observed: Observed, plan: Plan, fresh: CodeSessionStatus) -> None:
        old = next((each for each in observed.status.conditions or () if each.type == "Ready"), None)
        same = old is not None and (old.reason, observed.status.phase) == (plan.reason, fresh.phase)
        first_run = fresh.phase is Phase.RUNNING and observed.status.started_at is None
        if same or not (first_run or plan.event):
            return
        _log.info("%s/%s: %s (%s)", observed.session.namespace, observed.session.name, fresh.phase, plan.reason)
        await events.record(
            self._client, observed.session, warning=plan.event, reason=plan.reason, message=plan.message
        )
