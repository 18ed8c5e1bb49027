from __future__ import annotations

from typing import Any

from codesessions_crds.codesession import CodeSessionStatus, Phase
from codesessions_operator.plan import Observed, Plan
from codesessions_operator.status import KEPT_RESTARTS, LONGEST_MESSAGE, next_status
from support.operator import at, observed, pod, running

START = Plan(Phase.CREATING, False, "PodStarting", "The pod is being started.")
RUN = Plan(Phase.RUNNING, True, "Running", "The shell runs.")
DONE = Plan(Phase.COMPLETED, False, "ShellExited", "It ended.", exit_code=7)


def turn(seen: Observed, plan: Plan, found: Any = None, *, generation: int = 1) -> CodeSessionStatus:
    return next_status(seen, plan, generation=generation, pty_base_url="https://pty.example.com/", pod=found)


def test_the_first_status() -> None:
    assert turn(observed(), START, pod()).to_dict() == {
        "phase": "Creating",
        "observedGeneration": 1,
        "workspaceId": "ws_abc123",
        "ptyEndpoint": "https://pty.example.com/cs_abc123",
        "pod": {"name": "ws-abc123", "uid": "uid-pod", "node": "node-1"},
        "restarts": 0,
        "updatedAt": at(0),
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "PodStarting",
                "message": "The pod is being started.",
                "observedGeneration": 1,
                "lastTransitionTime": at(0),
            }
        ],
    }


def test_a_life() -> None:
    first = turn(observed(), START, pod())
    second = turn(observed(status=first, now=3), RUN, pod(running()))
    assert second.started_at == second.updated_at == at(3)
    assert second.pod is not None
    assert (second.pod.ip, second.pod.node) == ("10.0.0.7", "node-1")
    third = turn(observed(status=second, now=9), DONE, pod(running()))
    assert (third.started_at, third.finished_at, third.exit_code) == (at(3), at(9), 7)
    assert third.pod == second.pod


def test_nothing_new_is_the_old_status_itself() -> None:
    first = turn(observed(), RUN, pod(running()))
    assert turn(observed(status=first, now=50), RUN, pod(running())) is first


def test_where_a_pod_is_put_is_no_news_until_it_runs() -> None:
    nowhere = pod()
    del nowhere["spec"]["nodeName"]
    first = turn(observed(), START, nowhere)
    assert turn(observed(status=first, now=1), START, pod()) is first
    assert turn(observed(status=first, now=2), RUN, pod(running())).pod != first.pod


def test_another_generation_is_news() -> None:
    first = turn(observed(), RUN, pod(running()))
    second = turn(observed(status=first, now=5), RUN, pod(running()), generation=2)
    assert (second.observed_generation, second.updated_at) == (2, at(5))
    assert (second.conditions or [])[0].last_transition_time == at(0)


def test_another_pod_is_a_restart_whoever_made_it() -> None:
    first = turn(observed(), RUN, pod(running()))
    second = turn(observed(status=first, now=5), START, pod(uid="uid-2"))
    assert (second.restarts, second.last_restart_times) == (1, [at(5)])
    assert turn(observed(status=second, now=6), START, pod(uid="uid-2")) is second


def test_no_pod_is_no_restart_and_the_last_one_is_remembered() -> None:
    first = turn(observed(), RUN, pod(running()))
    second = turn(observed(status=first, now=5), START, None)
    assert (second.restarts, second.pod) == (0, first.pod)


def test_the_newest_restarts_are_kept() -> None:
    current = turn(observed(), RUN, pod(running()))
    for number in range(1, 15):
        current = turn(observed(status=current, now=number), START, pod(uid=f"uid-{number}"))
    assert current.restarts == 14
    assert current.last_restart_times == [at(number) for number in range(15 - KEPT_RESTARTS, 15)]


def test_a_long_message_is_cut() -> None:
    plan = Plan(Phase.CREATING, False, "Some", "x" * 10**6)
    assert len((turn(observed(), plan).conditions or [])[0].message) == LONGEST_MESSAGE


def test_the_end_is_written_once() -> None:
    done = turn(observed(), DONE, None)
    again = turn(observed(status=done, now=100), Plan(Phase.COMPLETED, False, "ShellExited", "It ended.", exit_code=7))
    assert again is done
