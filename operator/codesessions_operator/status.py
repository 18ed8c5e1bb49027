"""What is written down of a session. Pure: what was, and the plan, in; the new status out."""

from __future__ import annotations

from typing import Any

from codesessions_crds.codesession import CodeSessionStatus, Phase, PodReference
from codesessions_crds.conditions import with_condition
from codesessions_crds.names import session_id, workspace_id

from codesessions_operator.clock import render
from codesessions_operator.decision import Observed, Plan

KEPT_RESTARTS = 10
LONGEST_MESSAGE = 4096


def next_status(
    observed: Observed, plan: Plan, *, generation: int, pty_base_url: str, pod: dict[str, Any] | None
) -> CodeSessionStatus:
    """The status after a plan was carried out; the old one itself if nothing worth a write has changed.

    `pod` is the pod as it is then. Another uid than the one written down means that a lost pod was replaced.
    """
    old, now = observed.status, render(observed.now)
    name = observed.session.name
    over = old.phase is not None and old.phase.finished  # what comes now is no workspace
    reference = None if over else _reference(pod)
    replaced = old.pod is not None and reference is not None and reference.uid != old.pod.uid
    restart_times = [*(old.last_restart_times or []), *([now] if replaced else [])][-KEPT_RESTARTS:]
    conditions = with_condition(
        old.conditions or [],
        type="Ready",
        status=plan.ready,
        reason=plan.reason,
        message=plan.message[:LONGEST_MESSAGE],
        generation=generation,
        now=now,
    )
    if plan.archived is not None:
        conditions = with_condition(
            conditions,
            type="Archived",
            status=plan.archived.status,
            reason=plan.archived.reason,
            message=plan.archived.message[:LONGEST_MESSAGE],
            generation=generation,
            now=now,
        )
    fresh = CodeSessionStatus(
        phase=plan.phase,
        observed_generation=generation,
        workspace_id=workspace_id(name),
        pty_endpoint=f"{pty_base_url.rstrip('/')}/{session_id(name)}",
        pod=reference or old.pod,
        restarts=(old.restarts or 0) + (1 if replaced else 0),
        last_restart_times=restart_times or None,
        started_at=old.started_at or (now if plan.phase is Phase.RUNNING else None),
        finished_at=old.finished_at or (now if plan.phase.finished else None),
        exit_code=plan.exit_code if plan.exit_code is not None else old.exit_code,
        transcript=plan.transcript or old.transcript,
        conditions=conditions,
        updated_at=old.updated_at,
    )
    if fresh == old or (plan.phase is Phase.CREATING and _without_place(fresh) == _without_place(old)):
        return old  # where a pod is put is written down with the next news of it
    return fresh.model_copy(update={"updated_at": now})


def _without_place(status: CodeSessionStatus) -> CodeSessionStatus:
    pod = status.pod and status.pod.model_copy(update={"ip": None, "node": None})
    return status.model_copy(update={"pod": pod})


def _reference(pod: dict[str, Any] | None) -> PodReference | None:
    if pod is None:
        return None
    metadata, status, spec = pod["metadata"], pod.get("status") or {}, pod.get("spec") or {}
    return PodReference(name=metadata["name"], uid=metadata["uid"], ip=status.get("podIP"), node=spec.get("nodeName"))
