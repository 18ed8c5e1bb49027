"""The decision: what is to be done for a session, and what its status becomes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from codesessions_crds.codesession import CodeSessionStatus, Phase, State

from codesessions_operator.clock import parse
from codesessions_operator.desired.common import Session
from codesessions_operator.facts import Facts, Fate, read_pod

Object = dict[str, Any]

MAX_RESTARTS = 5
RESTART_WINDOW = timedelta(minutes=10)


class Action(Enum):
    """Something to do."""

    CREATE = auto()
    """Make secret, claim and pod."""
    DELETE_POD = auto()
    DELETE_SESSION = auto()


@dataclass(frozen=True)
class Observed:
    """What is known of a session at a moment."""

    session: Session
    created: datetime
    status: CodeSessionStatus
    pod: Object | None
    claim: Object | None
    now: datetime


@dataclass(frozen=True)
class Plan:
    """What to do, what to say, and when to look again."""

    phase: Phase
    ready: bool
    reason: str
    message: str
    actions: tuple[Action, ...] = ()
    exit_code: int | None = None
    lost_pod: bool = False
    """A pod that had been seen is gone; the one to be made replaces it."""
    again: timedelta | None = None
    event: bool = field(default=False)
    """Worth a Warning event even if the phase stays."""


def decide(observed: Observed) -> Plan:
    """What to do for a session."""
    phase = observed.status.phase
    if phase is not None and phase.finished:
        return _after_the_end(observed)
    if observed.session.spec.state is State.COMPLETED:
        return _end(observed, Phase.COMPLETED, "Completed", "The session was completed on request.")
    limit = _time_left(observed)
    if limit is not None and limit <= timedelta(0):
        seconds = observed.session.spec.max_duration_seconds
        return _end(observed, Phase.COMPLETED, "MaxDurationReached", f"The session had run for {seconds} s, its limit.")
    if observed.pod is None:
        return _without_pod(observed)
    facts = read_pod(observed.pod, observed.claim)
    plan = _with_pod(observed, facts)
    if limit is not None and (plan.again is None or plan.again > limit):
        plan = Plan(**{**plan.__dict__, "again": limit})
    return plan


def _with_pod(observed: Observed, facts: Facts) -> Plan:
    if facts.fate is Fate.ENDED:
        return _end(observed, Phase.COMPLETED, facts.reason, facts.message, facts)
    if facts.fate is Fate.IMPOSSIBLE:
        return _end(observed, Phase.FAILED, facts.reason, facts.message, facts)
    if facts.fate is Fate.LEAVING:
        return Plan(Phase.CREATING, False, facts.reason, facts.message)
    if facts.fate is Fate.LOST:
        return Plan(Phase.CREATING, False, facts.reason, facts.message, (Action.DELETE_POD,), event=True)
    if facts.fate is Fate.READY:
        if observed.session.spec.state is State.SUSPENDED:
            message = "Suspending is not supported yet; the session runs on. Set spec.state to Running or Completed."
            return Plan(Phase.RUNNING, False, "SuspendNotSupported", message)
        return Plan(Phase.RUNNING, True, facts.reason, facts.message)
    if facts.fate is Fate.NOT_READY and observed.status.phase is Phase.RUNNING:
        return Plan(Phase.RUNNING, False, facts.reason, facts.message)
    return _starting(observed, facts)


def _starting(observed: Observed, facts: Facts) -> Plan:
    begun = observed.created
    if observed.pod is not None:
        begun = max(begun, parse(observed.pod["metadata"].get("creationTimestamp")) or begun)
    limit = observed.session.spec.start_timeout_seconds
    left = begun + timedelta(seconds=limit) - observed.now
    if left <= timedelta(0):
        message = f"The session did not start within {limit} s (spec.startTimeoutSeconds). {facts.message}"
        return _end(observed, Phase.FAILED, facts.reason, message, facts)
    return Plan(Phase.CREATING, False, facts.reason, facts.message, again=left)


def _without_pod(observed: Observed) -> Plan:
    claim = observed.claim
    if claim is not None and (claim.get("status") or {}).get("phase") == "Lost":
        message = f"The volume behind claim {claim['metadata']['name']} is lost, and the session's files with it."
        return _end(observed, Phase.FAILED, "VolumeLost", message)
    lost = observed.status.pod is not None
    if lost and _restarts_lately(observed) >= MAX_RESTARTS:
        message = (
            f"The pod was lost {MAX_RESTARTS} times within {RESTART_WINDOW.seconds // 60} minutes. The last reason:"
            f" {_last_message(observed)} Create a new session once that is mended."
        )
        return _end(observed, Phase.FAILED, "TooManyRestarts", message)
    return Plan(Phase.CREATING, False, "PodStarting", "The pod is being made.", (Action.CREATE,), lost_pod=lost)


def blocked(observed: Observed, reason: str, message: str) -> Plan:
    """The plan when the children could not be made: wait, until the time for starting is over."""
    return _starting(observed, Facts(Fate.STARTING, reason, message))


def refused(observed: Observed, reason: str, message: str) -> Plan:
    """The plan when the children can never be made."""
    return _end(observed, Phase.FAILED, reason, message)


def _end(observed: Observed, phase: Phase, reason: str, message: str, facts: Facts | None = None) -> Plan:
    code = facts.exit_code if facts is not None and facts.fate is Fate.ENDED else None
    keep = facts is not None and facts.fate is Fate.ENDED and not facts.terminal  # its last output can still be read
    actions = (Action.DELETE_POD,) if observed.pod is not None and not keep and not _leaving(observed.pod) else ()
    return Plan(phase, False, reason, message, actions, exit_code=code, event=phase is Phase.FAILED)


def _after_the_end(observed: Observed) -> Plan:
    status = observed.status
    phase = status.phase or Phase.COMPLETED
    ready = next((each for each in status.conditions or () if each.type == "Ready"), None)
    reason, message = (ready.reason, ready.message) if ready else (phase.value, "")
    actions: tuple[Action, ...] = ()
    if observed.pod is not None and not _leaving(observed.pod):
        facts = read_pod(observed.pod, observed.claim)
        if facts.terminal or facts.fate is not Fate.ENDED:
            actions = (Action.DELETE_POD,)
    again = None
    ttl = observed.session.spec.ttl_seconds_after_finished
    finished = parse(status.finished_at)
    if ttl and finished is not None:
        again = finished + timedelta(seconds=ttl) - observed.now
        if again <= timedelta(0):
            actions, again = (Action.DELETE_SESSION,), None
    return Plan(phase, False, reason, message, actions, exit_code=status.exit_code, again=again)


def _leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _time_left(observed: Observed) -> timedelta | None:
    started, limit = parse(observed.status.started_at), observed.session.spec.max_duration_seconds
    if not limit or started is None:
        return None
    return started + timedelta(seconds=limit) - observed.now


def _restarts_lately(observed: Observed) -> int:
    times = (parse(text) for text in observed.status.last_restart_times or ())
    return sum(1 for moment in times if moment is not None and observed.now - moment < RESTART_WINDOW)


def _last_message(observed: Observed) -> str:
    ready = next((each for each in observed.status.conditions or () if each.type == "Ready"), None)
    return ready.message if ready else "unknown."
