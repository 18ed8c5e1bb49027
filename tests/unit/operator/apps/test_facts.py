from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from codesessions_operator.apps.facts import Rollout, read_health, read_rollout
from support.deploys import NOW, app_pod, deployment, ended


def read(deployed: Any, *pods: Any, number: int = 2, replicas: int = 1, after: float = 1) -> tuple[Rollout, str]:
    facts = read_rollout(deployed, pods, number, replicas, NOW + timedelta(seconds=after))
    return facts.rollout, facts.reason


@pytest.mark.parametrize(
    ("deployed", "expected"),
    [
        (None, Rollout.PROGRESSING),
        (deployment(2), Rollout.AVAILABLE),
        (deployment(1), Rollout.PROGRESSING),  # what is available is the revision before
        (deployment(2, observedGeneration=2), Rollout.PROGRESSING),  # the counts are older than the template
        (deployment(2, ready=False), Rollout.PROGRESSING),
        (deployment(2, replicas=2), Rollout.PROGRESSING),  # one of the old ones is there
        (deployment(2, updatedReplicas=0), Rollout.PROGRESSING),
    ],
)
def test_available_is_the_revision_itself_and_nothing_else(deployed: Any, expected: Rollout) -> None:
    assert read(deployed)[0] is expected


def test_no_replicas_are_available_at_once() -> None:
    assert read(deployment(2, replicas=0), replicas=0)[0] is Rollout.AVAILABLE


CRASHED = {"restartCount": 2, "ready": False, "state": ended(3, "boom"), "lastState": ended(3, "boom")}
BACK_OFF = {"restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended(3, "boom")}
PULLING = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}


@pytest.mark.parametrize("container", [CRASHED, BACK_OFF])
def test_a_crash_loop_breaks_a_rollout_with_the_last_lines(container: Any) -> None:
    facts = read_rollout(deployment(2, ready=False), [app_pod(2, container)], 2, 1, NOW)
    assert (facts.rollout, facts.reason) == (Rollout.BROKEN, "CrashLooping")
    assert "exit code 3" in facts.message
    assert facts.message.endswith("boom")


def test_of_a_long_traceback_the_end_is_shown_and_a_missing_module_explained() -> None:
    said = "\n".join([*(f"line {number}" for number in range(99)), "ModuleNotFoundError: No module named 'yaml'"])
    crashed = {"restartCount": 2, "ready": False, "state": ended(1, said)}
    message = read_rollout(deployment(2, ready=False), [app_pod(2, crashed)], 2, 1, NOW).message
    assert message.endswith("No module named 'yaml'")
    assert "line 98" in message
    assert "line 80" not in message
    assert "requirements.txt" in message


def test_a_crash_loop_of_another_revision_breaks_nothing() -> None:
    assert read(deployment(2, ready=False), app_pod(1, BACK_OFF))[0] is Rollout.PROGRESSING


def test_one_crash_is_forgiven() -> None:
    once = {"restartCount": 1, "ready": False, "state": {"running": {}}, "lastState": ended(1)}
    assert read(deployment(2, ready=False), app_pod(2, once)) == (Rollout.PROGRESSING, "NotReady")


def test_an_image_that_cannot_be_pulled_is_waited_for_a_while() -> None:
    pod = app_pod(2, PULLING)
    assert read(deployment(2, ready=False), pod, after=59) == (Rollout.PROGRESSING, "ImagePullBackOff")
    assert read(deployment(2, ready=False), pod, after=61) == (Rollout.BROKEN, "ImagePullFailed")


def test_what_a_rollout_waits_for_is_said() -> None:
    refused = deployment(2, ready=False, conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota"}])
    assert read(refused)[1] == "PodsRefused"
    homeless = app_pod(2, conditions=[{"type": "PodScheduled", "status": "False", "message": "no node"}])
    assert read(deployment(2, ready=False), homeless)[1] == "Unschedulable"


def test_the_health_of_what_was_available() -> None:
    assert read_health(deployment(2), [app_pod(2, {"ready": True, "lastState": ended(1)})]) is None
    found = read_health(deployment(2, ready=False), [app_pod(2, {"ready": False, "lastState": ended(1, "oops")})])
    assert found is not None
    assert found[0] == "CrashLooping"
    assert "oops" in found[1]
