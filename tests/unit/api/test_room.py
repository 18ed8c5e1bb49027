from __future__ import annotations

from typing import Any

import pytest
from codesessions_api.caches import trim_session
from codesessions_api.problems import SESSION_COUNT, Problem
from codesessions_api.room import advice, advised


def session(name: str, phase: str, finished: str | None = None, *, ttl: int | None = 604_800) -> Any:
    return {
        "metadata": {"name": name, "namespace": "acme"},
        "spec": {"projectName": "p"} | ({"ttlSecondsAfterFinished": ttl} if ttl is not None else {}),
        "status": {"phase": phase} | ({"finishedAt": finished} if finished else {}),
    }


RUNS = session("cs-a", "Running")
OLD, NEW = (session(f"cs-{day}", "Completed", f"2025-02-0{day}T10:00:00Z") for day in (1, 3))


def test_it_is_said_when_there_will_be_room_and_how_to_make_some() -> None:
    brief = session("cs-f", "Failed", "2025-02-02T10:00:00Z", ttl=60)
    said = advice([trim_session(each) for each in (RUNS, NEW, OLD, brief)])
    assert "have ended, 3 by now, count" in said
    assert "the first at 2025-02-02T10:01:00Z" in said
    assert "`kubectl -n acme delete codesession cs-1`" in said


@pytest.mark.parametrize("ended", [session("cs-1", "Completed"), session("cs-1", "Completed", "soon"), RUNS])
def test_nothing_is_said_of_a_moment_that_is_not_known(ended: Any) -> None:
    assert ", the first at " not in advice([ended, session("cs-2", "Failed", "2025-02-02T10:00:00Z", ttl=0)])


def test_without_one_that_has_ended_it_says_so() -> None:
    assert advice([RUNS]).startswith("None of them has ended.")


@pytest.mark.parametrize(("resource", "more"), [(SESSION_COUNT, True), ("pods", False)])
def test_only_a_want_of_sessions_gets_the_word(resource: str, more: bool) -> None:
    problem = Problem(403, "quota_exceeded", "Full.", limits=[{"resource": resource}])
    assert (advised(problem, [OLD]).detail != "Full.") is more
    plain = Problem(503, "kubernetes_unavailable", "Away.")
    assert advised(plain, [OLD]) is plain
