"""What to do when an organisation has as many sessions as it may: which of them only wait for their end. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from codesessions_kube.store import Object

from codesessions_api import views
from codesessions_api.problems import SESSION_COUNT, Problem


def advised(problem: Problem, items: Iterable[Object]) -> Problem:
    """A refusal for want of room, with a word about sessions that have ended; any other problem as it is."""
    if not any(each["resource"] == SESSION_COUNT for each in problem.limits or ()):
        return problem
    detail = f"{problem.detail} {advice(list(items))}"
    return Problem(problem.status, problem.code, detail, headers=problem.headers, limits=problem.limits)


def advice(items: list[Object]) -> str:
    """What makes room, and when some comes by itself."""
    ended = [each for each in items if views.status_of(each) in views.FINISHED]
    if not ended:
        return (
            "None of them has ended. One that is ended (DELETE) counts on until its record is deleted; ask who runs the"
            " cluster for more."
        )
    found = f"Those that have ended, {len(ended)} by now, count until their records are deleted"
    times = [moment for each in ended if (moment := _goes_at(each)) is not None]
    if times:
        found += f", the first at {min(times):%Y-%m-%dT%H:%M:%SZ}"
    metadata = min(ended, key=_ended_at)["metadata"]
    return (
        f"{found}. Who runs the cluster makes room at once by `kubectl -n {metadata['namespace']} delete codesession"
        f" {metadata['name']}`, with its transcript, or by a larger quota."
    )


def _ended_at(item: Object) -> str:
    return str((item.get("status") or {}).get("finishedAt") or "9999")


def _goes_at(item: Object) -> datetime | None:
    """When the operator deletes its record; None: never, or not known yet."""
    try:
        finished = datetime.fromisoformat(_ended_at(item)).astimezone(UTC)
    except ValueError:
        return None
    seconds = (item.get("spec") or {}).get("ttlSecondsAfterFinished", 0)
    return finished + timedelta(seconds=seconds) if seconds else None
