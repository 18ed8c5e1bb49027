from __future__ import annotations

from codesessions_crds.conditions import with_condition
from codesessions_crds.meta import Condition
from hypothesis import given
from hypothesis import strategies as st

STATUSES = st.sampled_from([True, False, None])
REASONS = st.sampled_from(["Running", "PodStarting", "QuotaExceeded"])


def turn(conditions: list[Condition], status: bool | None, now: int, *, reason: str = "Some") -> list[Condition]:
    return with_condition(
        conditions, type="Ready", status=status, reason=reason, message="m", generation=now, now=f"t{now}"
    )


def test_the_first_condition_begins_now() -> None:
    (found,) = turn([], True, 1)
    assert found.to_dict() == {
        "type": "Ready",
        "status": "True",
        "reason": "Some",
        "message": "m",
        "observedGeneration": 1,
        "lastTransitionTime": "t1",
    }


def test_unknown_is_a_status_of_its_own() -> None:
    (found,) = turn(turn([], True, 1), None, 2)
    assert (found.status, found.last_transition_time) == ("Unknown", "t2")


def test_a_message_moves_nobodys_terminal() -> None:
    said = "ended: \x1b]0;mine\x07\x9b2J\r\n\ttwo\r\x00"
    (found,) = with_condition([], type="Ready", status=False, reason="R", message=said, generation=1, now="t1")
    assert found.message == "ended: \ufffd]0;mine\ufffd\ufffd2J\n two\ufffd\ufffd"


def test_other_conditions_stay() -> None:
    other = Condition(type="Other", status="True", reason="R", last_transition_time="t0")
    assert turn([other], True, 1)[0] == other


@given(st.lists(st.tuples(STATUSES, REASONS), min_size=1, max_size=20))
def test_the_transition_time_is_that_of_the_last_change_of_status(turns: list[tuple[bool | None, str]]) -> None:
    conditions: list[Condition] = []
    changed, before = 0, object()
    for now, (status, reason) in enumerate(turns):
        conditions = turn(conditions, status, now, reason=reason)
        if status is not before:
            changed, before = now, status
        assert len(conditions) == 1
        assert conditions[0].last_transition_time == f"t{changed}"
        assert (conditions[0].reason, conditions[0].observed_generation) == (reason, now)
