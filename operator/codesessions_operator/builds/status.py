"""What is written down of a Build. Pure."""

from __future__ import annotations

from codesessions_crds.build import BuildPhase, BuildStatus, PhaseTimes
from codesessions_crds.conditions import with_condition

LONGEST_MESSAGE = 8192


def moved(
    status: BuildStatus, phase: BuildPhase, reason: str, message: str, *, generation: int, now: str
) -> BuildStatus:
    """The status in a phase, perhaps the one it is in, with the Ready condition saying why."""
    times = list(status.phases or ())
    if status.phase is not phase:
        if times and times[-1].finished_at is None:
            times[-1] = times[-1].model_copy(update={"finished_at": now})
        if not phase.finished:
            times.append(PhaseTimes(phase=phase, started_at=now))
    ready = phase is BuildPhase.SUCCEEDED
    conditions = with_condition(
        status.conditions or [],
        type="Ready",
        status=ready,
        reason=reason,
        message=message[:LONGEST_MESSAGE],
        generation=generation,
        now=now,
    )
    fresh = status.model_copy(
        update={
            "phase": phase,
            "phases": times or None,
            "observed_generation": generation,
            "started_at": status.started_at or now,
            "finished_at": status.finished_at or (now if phase.finished else None),
            "conditions": conditions,
        }
    )
    return fresh if fresh == status else fresh.model_copy(update={"updated_at": now})
