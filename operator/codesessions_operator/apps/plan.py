"""The decision: which revision an App should run, and how it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from codesessions_crds.app import AppPhase, AppSpec, AppStatus, Revision
from codesessions_crds.build import BuildPhase
from codesessions_crds.conditions import find_condition, with_condition

from codesessions_operator.apps.facts import Rollout, RolloutFacts
from codesessions_operator.apps.objects import Application
from codesessions_operator.builds.order import BuildRecord

LONGEST_MESSAGE = 8192


@dataclass(frozen=True)
class AppRecord:
    """An App as it is known."""

    application: Application
    created: datetime
    generation: int
    status: AppStatus


@dataclass(frozen=True)
class Verdict:
    """How an App is."""

    phase: AppPhase
    ready: bool
    reason: str
    message: str


def with_revision(
    status: AppStatus, image: str, build: str | None, source: str | None, now: str
) -> tuple[AppStatus, Revision]:
    """The status with an image as its newest revision, which it may be already."""
    known = status.revisions or []
    for each in known:
        if build is not None and each.build == build:
            return status, each
    if known and known[-1].image == image and not known[-1].failed:
        return status, known[-1]
    number = (status.last_revision or 0) + 1
    made = Revision(number=number, image=image, build=build, source_digest=source, created_at=now)
    return status.model_copy(update={"revisions": [*known, made], "last_revision": number}), made


def target_of(spec: AppSpec, status: AppStatus) -> Revision | None:
    """The revision to run: the one that is asked for, or else the newest that has not failed."""
    known = status.revisions or []
    if spec.revision is not None:
        return next((each for each in known if each.number == spec.revision), None)
    return next((each for each in reversed(known) if not each.failed), None)


def failed(status: AppStatus, number: int, message: str) -> AppStatus:
    """The status with a revision marked as one that does not come up."""
    mark = {"failed": True, "message": message[:LONGEST_MESSAGE]}
    known = [each.model_copy(update=mark) if each.number == number else each for each in status.revisions or ()]
    return status.model_copy(update={"revisions": known})


def retried(status: AppStatus) -> AppStatus:
    """The status with its newest revision to be tried again."""
    known = list(status.revisions or ())
    if known:
        known[-1] = known[-1].model_copy(update={"failed": None, "message": None})
    return status.model_copy(update={"revisions": known or None})


def trimmed(spec: AppSpec, status: AppStatus, target: Revision | None) -> AppStatus:
    """The status without revisions over the limit; what runs, or is asked for, stays."""
    known = status.revisions or []
    kept = {status.revision, spec.revision, target.number if target else None}
    kept |= {each.number for each in known[-spec.revision_history_limit :]}
    return status.model_copy(update={"revisions": [each for each in known if each.number in kept] or None})


def judge(
    spec: AppSpec,
    status: AppStatus,
    builds: Sequence[BuildRecord],
    target: Revision | None,
    facts: RolloutFacts | None,
    health: tuple[str, str] | None,
) -> Verdict:
    """How an App is; `builds` oldest first, `facts` about `target`, `health` of what was available before."""
    newest = builds[-1] if builds else None
    if newest is not None and not newest.finished:
        ready = find_condition(newest.status.conditions, "Ready")
        reason = newest.status.phase.value if newest.status.phase else "Zipping"
        return Verdict(AppPhase.DEPLOYING, False, reason, f"{newest.name}: {ready.message if ready else 'begins.'}")
    if spec.revision is not None and target is None:
        known = ", ".join(str(each.number) for each in status.revisions or ()) or "none"
        message = f"There is no revision {spec.revision}; there are: {known}. What runs goes on."
        return Verdict(AppPhase.FAILED, False, "RevisionNotFound", message)
    if target is None or facts is None:
        return _nothing_to_run(status, newest)
    if facts.rollout is Rollout.BROKEN:
        return Verdict(AppPhase.FAILED, False, facts.reason, facts.message)
    if facts.rollout is Rollout.PROGRESSING:
        if status.revision != target.number:
            return Verdict(AppPhase.DEPLOYING, False, facts.reason, facts.message)
        reason, message = health or ("NotAvailable", facts.message)
        phase = AppPhase.FAILED if health is not None and health[0] == "CrashLooping" else AppPhase.RUNNING
        return Verdict(phase, False, reason, message)
    complaint = _last_failure(status, newest, target) if spec.revision is None else None
    if complaint is not None:
        message = f"{complaint[1]}\nRevision {target.number} goes on serving."
        return Verdict(AppPhase.FAILED, False, complaint[0], message)
    return Verdict(AppPhase.RUNNING, True, "Running", facts.message)


def _nothing_to_run(status: AppStatus, newest: BuildRecord | None) -> Verdict:
    complaint = _last_failure(status, newest, None)
    if complaint is not None:
        return Verdict(AppPhase.FAILED, False, *complaint)
    if status.revisions:
        return Verdict(AppPhase.DEPLOYING, False, "RollingOut", "It is being rolled out.")
    return Verdict(AppPhase.DEPLOYING, False, "NothingDeployed", "Nothing was deployed yet.")


def _last_failure(status: AppStatus, newest: BuildRecord | None, target: Revision | None) -> tuple[str, str] | None:
    """Why the last deploy is not what runs, if it failed."""
    last = status.revisions[-1] if status.revisions else None
    if last is not None and last.failed and (target is None or last.number > target.number):
        return "RolloutFailed", f"Revision {last.number} does not come up. {last.message or ''}"
    if newest is not None and newest.status.phase is BuildPhase.FAILED:
        ready = find_condition(newest.status.conditions, "Ready")
        return (ready.reason if ready else "BuildFailed"), f"{newest.name} failed: {ready.message if ready else ''}"
    return None


def next_status(
    record: AppRecord,
    status: AppStatus,
    verdict: Verdict,
    facts: RolloutFacts | None,
    *,
    build: str | None,
    host: str | None,
    url: str | None,
    now: str,
) -> AppStatus:
    """The status after a pass; the old one itself if nothing has changed."""
    conditions = with_condition(
        status.conditions or [],
        type="Ready",
        status=verdict.ready,
        reason=verdict.reason,
        message=verdict.message[:LONGEST_MESSAGE],
        generation=record.generation,
        now=now,
    )
    fresh = status.model_copy(
        update={
            "phase": verdict.phase,
            "observed_generation": record.generation,
            "host": host,
            "url": url,
            "build": build or status.build,
            "available_replicas": facts.available if facts is not None else status.available_replicas,
            "conditions": conditions,
        }
    )
    return fresh if fresh == record.status else fresh.model_copy(update={"updated_at": now})
