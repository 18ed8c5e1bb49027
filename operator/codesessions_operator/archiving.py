"""What becomes of the transcript of a session that has ended. Pure.

The fast way: the sidecar still serves, and the pod is let go when the transcript is in the registry. The slow way: the
pod is gone, and another one, of the sidecar alone, serves the transcript from the session's volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from codesessions_crds.codesession import TranscriptReference

from codesessions_operator.clock import parse
from codesessions_operator.decision import Action, Archived, Observed
from codesessions_operator.desired.archivepod import is_archive_pod
from codesessions_operator.facts import Fate, read_pod, waiting_words

Object = dict[str, Any]
ARCHIVED, NOTHING, LOST, NO_REGISTRY, ARCHIVING = (
    "Archived",
    "NothingToArchive",
    "TranscriptLost",
    "NoRegistry",
    "Archiving",
)
FINAL = {ARCHIVED, NOTHING, LOST}
POD_TIME = timedelta(minutes=5)
"""How long a pod of the slow way may take to start; then another one is tried."""
_NOTHING = Archived(True, NOTHING, "The shell never ran, so there is no transcript.")
_NO_REGISTRY = Archived(
    False,
    NO_REGISTRY,
    "The output goes with the pod: there is no registry to keep it in. Set CODESESSIONS_REGISTRY_URL (the chart's"
    " registry.url).",
)
_BUSY = Archived(False, ARCHIVING, "The transcript is being brought to the registry.")


@dataclass(frozen=True)
class Step:
    """What to do now, what to say, and when to look again."""

    archived: Archived
    actions: tuple[Action, ...] = ()
    again: timedelta | None = None
    transcript: TranscriptReference | None = None


def begin(observed: Observed, exit_code: int | None) -> Step:
    """At the moment of the end. `again` is set if there is something to do."""
    if observed.status.started_at is None and exit_code is None:
        return Step(_NOTHING)
    if not observed.registry:
        return Step(_NO_REGISTRY)
    return Step(_BUSY, (Action.HOLD,), timedelta(0))


def step(observed: Observed) -> Step:
    """After the end."""
    status, attempt, now = observed.status, observed.attempt, observed.now
    if status.transcript is not None:
        return Step(_stored(status.transcript), _let_go(observed))
    known = observed.archived
    if known is not None and known.reason in FINAL:
        return Step(Archived(known.status == "True", known.reason, known.message), _let_go(observed))
    if status.started_at is None and status.exit_code is None:
        return Step(_NOTHING, _let_go(observed))
    if not observed.registry:
        return Step(_NO_REGISTRY, _let_go(observed))
    if attempt.found is not None:
        return Step(_stored(attempt.found), transcript=attempt.found, again=timedelta(0))
    if attempt.lost:
        return Step(Archived(False, LOST, attempt.message), _let_go(observed))
    left = (parse(status.finished_at) or now) + observed.archive_time - now
    if left <= timedelta(0):
        return Step(Archived(False, LOST, _too_late(observed)), _let_go(observed))
    if attempt.running:
        return Step(_BUSY, again=left)
    said = Archived(False, attempt.reason, attempt.message) if attempt.reason else _BUSY
    pause = attempt.retry_at - now if attempt.retry_at is not None and attempt.retry_at > now else None
    return _next(observed, said, pause, left)


def _next(observed: Observed, said: Archived, pause: timedelta | None, left: timedelta) -> Step:
    """Towards the transcript. `pause`: do not ask for it before."""
    pod = observed.pod
    again = left if pause is None else min(pause, left)
    if pod is None:
        if pause is not None:
            return Step(said, again=again)
        return Step(said, (Action.MAKE_ARCHIVE_POD if _volume(observed) else Action.FETCH,), left)
    leaving, status = bool(pod["metadata"].get("deletionTimestamp")), pod.get("status") or {}
    ended = status.get("phase") in {"Succeeded", "Failed"}
    if leaving and (ended or is_archive_pod(pod)):
        return Step(said, again=again)
    if ended:
        return Step(said, (Action.DELETE_POD,), again)
    if is_archive_pod(pod):
        return _with_archive_pod(observed, pod, said, pause, again)
    facts = read_pod(pod, observed.claim)
    if not leaving and facts.fate is not Fate.ENDED:
        return Step(said, (Action.HOLD, Action.DELETE_POD), again)
    if not status.get("podIP") or pause is not None:
        return Step(said, again=again)
    return Step(said, (Action.FETCH,), left)


def _with_archive_pod(
    observed: Observed, pod: Object, said: Archived, pause: timedelta | None, again: timedelta
) -> Step:
    if pause is not None:  # it would wait for the registry, and hold its place on a node
        return Step(said, (Action.DELETE_POD,), again)
    status = pod.get("status") or {}
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or [])
    if ready and status.get("podIP"):
        return Step(said, (Action.FETCH,), again)
    made = parse(pod["metadata"].get("creationTimestamp")) or observed.now
    patience = made + POD_TIME - observed.now
    if patience <= timedelta(0):
        return Step(said, (Action.DELETE_POD,), again)
    words = waiting_words(pod, observed.claim)
    if words:
        message = f"The pod that reads the transcript from its volume does not start: {words}"
        return Step(Archived(False, "ArchivePodPending", message), again=min(again, patience))
    return Step(said, again=min(again, patience))


def _let_go(observed: Observed) -> tuple[Action, ...]:
    """Nobody needs the pod for its transcript any more."""
    pod = observed.pod
    if pod is None:
        return ()
    facts = read_pod(pod, observed.claim)
    if pod["metadata"].get("deletionTimestamp"):
        return (Action.RELEASE,) if observed.registry and not facts.terminal and not is_archive_pod(pod) else ()
    lingers = facts.fate is Fate.ENDED and not facts.terminal
    if lingers and not observed.registry:  # the sidecar goes by itself in some seconds
        return ()
    return (Action.DELETE_POD,)


def _volume(observed: Observed) -> bool:
    """Whether the transcript may be on a volume that is still there."""
    claim = observed.claim
    return (
        claim is not None
        and not claim["metadata"].get("deletionTimestamp")
        and (claim.get("status") or {}).get("phase") != "Lost"
    )


def _stored(transcript: TranscriptReference) -> Archived:
    message = f"The transcript is kept until the session is deleted, as {transcript.repository}@{transcript.digest}."
    return Archived(True, ARCHIVED, message)


def _too_late(observed: Observed) -> str:
    limit = int(observed.archive_time.total_seconds())
    last = observed.attempt.message or (observed.archived.message if observed.archived else "")
    where = f" It is still on claim {observed.session.child}." if _volume(observed) else ""
    return f"The transcript could not be stored within {limit} s (CODESESSIONS_ARCHIVE_SECONDS).{where} {last}".rstrip()
