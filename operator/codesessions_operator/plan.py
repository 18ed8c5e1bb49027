"""The decision: what is to be done for a session, and what its status becomes. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from codesessions_crds.codesession import Phase, State
from codesessions_crds.names import KEY_LIFE

from codesessions_operator import archiving
from codesessions_operator.clock import parse
from codesessions_operator.decision import Action, Observed, Plan
from codesessions_operator.facts import LOST_REASONS, STARTING, UNPLACED_REASONS, Facts, Fate, read_pod

Object = dict[str, Any]

COMPLETED_ON_REQUEST = "Completed"
"""The reason of an end that somebody asked for."""
MAX_RESTARTS = 5
RESTART_WINDOW = timedelta(minutes=10)
SETTLING_TIME = timedelta(seconds=2)
"""How long a pod may wait for its volume and a node before that is worth a word, and may start before its session gets
a first status: most need less, and that is one write less.
"""
LEAVING_TIME = timedelta(seconds=30)
"""How long after its grace period a deleted pod may still be there before its node counts as gone."""


def decide(observed: Observed) -> Plan:
    """What to do for a session."""
    phase = observed.status.phase
    if phase is not None and phase.finished:
        return _after_the_end(observed)
    if observed.session.spec.state is State.COMPLETED:
        return _end(observed, Phase.COMPLETED, COMPLETED_ON_REQUEST, "The session was completed on request.")
    limit = _time_left(observed)
    if limit is not None and limit <= timedelta(0):
        seconds = observed.session.spec.max_duration_seconds
        return _end(observed, Phase.COMPLETED, "MaxDurationReached", f"The session had run for {seconds} s, its limit.")
    plan = _without_pod(observed) if observed.pod is None else _with_pod(observed, observed.pod)
    if limit is not None and not plan.phase.finished:
        plan = replace(plan, again=min(plan.again or limit, limit))
    return plan


def _with_pod(observed: Observed, pod: Object) -> Plan:
    facts = read_pod(pod, observed.claim)
    if facts.fate is Fate.ENDED:
        return _end(observed, Phase.COMPLETED, facts.reason, facts.message, facts)
    if facts.fate is Fate.IMPOSSIBLE:
        return _end(observed, Phase.FAILED, facts.reason, facts.message, facts)
    if facts.fate is Fate.LEAVING:
        return _leaving(observed, pod, facts)
    if facts.fate is Fate.LOST:
        return Plan(Phase.CREATING, False, facts.reason, facts.message, (Action.DELETE_POD,), warning=True)
    if facts.fate is Fate.READY:
        if observed.session.spec.state is State.SUSPENDED:
            message = "Suspending is not supported yet; the session runs on. Set spec.state to Running or Completed."
            return Plan(Phase.RUNNING, False, "SuspendNotSupported", message)
        return Plan(Phase.RUNNING, True, facts.reason, facts.message)
    if facts.fate is Fate.NOT_READY and observed.status.phase is Phase.RUNNING:
        return Plan(Phase.RUNNING, False, facts.reason, facts.message)
    return _starting(observed, facts)


def _leaving(observed: Observed, pod: Object, facts: Facts) -> Plan:
    """The pod was deleted and is not gone yet: its name, and perhaps its volume, are not free."""
    overdue = (parse(pod["metadata"]["deletionTimestamp"]) or observed.now) + LEAVING_TIME - observed.now
    if overdue <= timedelta(0):
        node = (pod.get("spec") or {}).get("nodeName") or "its node"
        message = (
            f"Pod {pod['metadata']['name']} was deleted, and node {node} does not say that it has ended. If that node"
            f" is gone for good, delete it (`kubectl delete node {node}`); another pod follows then."
        )
        return Plan(Phase.CREATING, False, "NodeUnreachable", message, warning=True)
    why = observed.ready
    if why is not None and why.reason in LOST_REASONS and observed.status.phase is Phase.CREATING:
        return Plan(Phase.CREATING, False, why.reason, why.message, again=overdue)
    return Plan(Phase.CREATING, False, facts.reason, facts.message, again=overdue)


def _starting(observed: Observed, facts: Facts) -> Plan:
    limit = observed.session.spec.start_timeout_seconds
    left = _begun(observed) + timedelta(seconds=limit) - observed.now
    if left <= timedelta(0):
        message = f"The session did not start within {limit} s (spec.startTimeoutSeconds). {facts.message}"
        return _end(observed, Phase.FAILED, facts.reason, message, facts)
    settling = _begun(observed) + SETTLING_TIME - observed.now
    if facts.reason in UNPLACED_REASONS and timedelta(0) < settling < left:
        return _first_moments(observed, Plan(Phase.CREATING, False, *STARTING, again=settling))
    if facts.fate is Fate.NOT_READY or facts.reason == STARTING[0]:  # as every pod is in its first seconds
        return _first_moments(observed, Plan(Phase.CREATING, False, *STARTING, again=left))
    return Plan(Phase.CREATING, False, facts.reason, facts.message, again=left)


def _first_moments(observed: Observed, plan: Plan) -> Plan:
    """A plan that says no more than that a pod is being started; nothing is written down if it is the first one."""
    left = _begun(observed) + SETTLING_TIME - observed.now
    if observed.status.phase is not None or left <= timedelta(0):
        return plan
    return replace(plan, passing=True, again=min(plan.again or left, left))


def _begun(observed: Observed) -> datetime:
    """Since when the session has been trying to start, this time."""
    if observed.pod is not None:
        return parse(observed.pod["metadata"].get("creationTimestamp")) or observed.now
    if observed.status.phase is not Phase.CREATING or observed.ready is None:  # it begins in this moment
        return observed.now
    moments = [observed.ready.last_transition_time, *(observed.status.last_restart_times or ())]
    return max((moment for text in moments if (moment := parse(text))), default=observed.created)


def _without_pod(observed: Observed) -> Plan:
    claim = observed.claim
    if claim is not None and (claim.get("status") or {}).get("phase") == "Lost":
        message = (
            f"The volume behind claim {claim['metadata']['name']} is lost, and the session's files with it."
            " Create a new session."
        )
        return _end(observed, Phase.FAILED, "VolumeLost", message)
    if observed.status.pod is not None and _restarts_lately(observed) >= MAX_RESTARTS:
        message = (
            f"The pod was lost {MAX_RESTARTS + 1} times within {RESTART_WINDOW.seconds // 60} minutes. The last"
            f" reason: {observed.ready.message if observed.ready else 'unknown.'} Create a new session once that is"
            " mended."
        )
        return _end(observed, Phase.FAILED, "TooManyRestarts", message)
    again = timedelta(seconds=observed.session.spec.start_timeout_seconds)
    return _first_moments(observed, Plan(Phase.CREATING, False, *STARTING, actions=(Action.CREATE,), again=again))


def blocked(observed: Observed, reason: str, message: str) -> Plan:
    """The plan when the children could not be made: wait, until the time for starting is over."""
    return _starting(observed, Facts(Fate.STARTING, reason, message))


def refused(observed: Observed, reason: str, message: str) -> Plan:
    """The plan when the children can never be made."""
    return _end(observed, Phase.FAILED, reason, message)


def _end(observed: Observed, phase: Phase, reason: str, message: str, facts: Facts | None = None) -> Plan:
    code = facts.exit_code if facts is not None and facts.fate is Fate.ENDED else None
    keep = facts is not None and facts.fate is Fate.ENDED and not facts.terminal  # its last output can still be read
    begun = archiving.begin(observed, code)
    actions: tuple[Action, ...] = ()
    if observed.pod is not None and not keep and not _is_leaving(observed.pod):
        actions = (*begun.actions, Action.DELETE_POD)
    again = timedelta(0) if begun.again is not None else _ttl(observed)
    plan = Plan(phase, False, reason, message, actions, exit_code=code, again=again, warning=phase is Phase.FAILED)
    return replace(plan, archived=begun.archived)


def _after_the_end(observed: Observed) -> Plan:
    status = observed.status
    phase = status.phase or Phase.COMPLETED
    ready = observed.ready
    reason, message = (ready.reason, ready.message) if ready else (phase.value, "")
    plan = Plan(phase, False, reason, message, exit_code=status.exit_code)
    again = _ttl(observed)
    if again is not None and again <= timedelta(0):
        first = (Action.DELETE_TRANSCRIPT,) if status.transcript is not None else ()
        return replace(plan, actions=(*first, Action.DELETE_SESSION))
    step = archiving.step(observed)
    waits = [each for each in (again, step.again) if each is not None]
    return replace(
        plan,
        actions=step.actions,
        again=min(waits) if waits else None,
        archived=step.archived,
        transcript=step.transcript,
    )


def _ttl(observed: Observed) -> timedelta | None:
    """How long the record of a session that has ended is kept from now on."""
    ttl = observed.session.spec.ttl_seconds_after_finished
    finished = parse(observed.status.finished_at) or observed.now
    if not ttl:
        return None
    end = finished + timedelta(seconds=ttl)
    return (max(end, observed.created + KEY_LIFE) if observed.keyed else end) - observed.now


def _is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _time_left(observed: Observed) -> timedelta | None:
    started, limit = parse(observed.status.started_at), observed.session.spec.max_duration_seconds
    if not limit or started is None:
        return None
    return started + timedelta(seconds=limit) - observed.now


def _restarts_lately(observed: Observed) -> int:
    times = (parse(text) for text in observed.status.last_restart_times or ())
    return sum(1 for moment in times if moment is not None and observed.now - moment < RESTART_WINDOW)
