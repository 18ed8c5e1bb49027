from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from codesessions_crds.codesession import Phase
from codesessions_operator.plan import MAX_RESTARTS, Action, blocked, decide, refused
from support.operator import at, container, ended, observed, pod, running, status, waiting

CREATING = status("Creating", ready=("False", "PodStarting", "The pod is being started."))
RUNNING = status("Running", ready=("True", "Running", ""), startedAt=at(0), pod={"name": "ws-abc123", "uid": "uid-pod"})
EXITED = '{"shell":"exited","code":7}'
DELETE = (Action.DELETE_POD,)


def test_without_a_pod_one_is_made() -> None:
    plan = decide(observed())
    assert (plan.phase, plan.ready, plan.actions) == (Phase.CREATING, False, (Action.CREATE,))


@pytest.mark.parametrize(
    ("pod_status", "phase", "ready", "reason", "actions"),
    [
        (running(), Phase.RUNNING, True, "Running", ()),
        (running(ready=False), Phase.RUNNING, False, "TerminalNotReady", ()),
        (waiting("workspace", "ErrImagePull"), Phase.CREATING, False, "ImagePullFailed", ()),
        (ended(7, message=EXITED), Phase.COMPLETED, False, "ShellExited", ()),
        (ended(7, message=EXITED, phase="Failed"), Phase.COMPLETED, False, "ShellExited", DELETE),
        (ended(137, reason="OOMKilled"), Phase.CREATING, False, "OutOfMemory", DELETE),
        (ended(127, message='{"shell":"not started"}'), Phase.FAILED, False, "ShellNotFound", DELETE),
    ],
)
def test_a_running_session_follows_its_pod(
    pod_status: Any, phase: Phase, ready: bool, reason: str, actions: tuple[Action, ...]
) -> None:
    plan = decide(observed(status=RUNNING, pod=pod(pod_status)))
    assert (plan.phase, plan.ready, plan.reason, plan.actions) == (phase, ready, reason, actions)


def test_the_exit_code_of_the_shell_is_kept() -> None:
    assert decide(observed(status=RUNNING, pod=pod(ended(7, message=EXITED)))).exit_code == 7


def test_a_pod_that_is_not_ready_yet_is_starting() -> None:
    plan = decide(observed(status=CREATING, pod=pod(running(ready=False))))
    assert (plan.phase, plan.reason) == (Phase.CREATING, "PodStarting")
    late = decide(observed(status=CREATING, pod=pod(running(ready=False)), now=121))
    assert (late.phase, late.reason) == (Phase.FAILED, "TerminalNotReady")


def test_that_no_node_was_found_yet_is_said_only_when_it_lasts() -> None:
    unplaced = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no memory."}]}
    first = decide(observed(status=CREATING, pod=pod(unplaced), now=1))
    assert (first.reason, first.again) == ("PodStarting", timedelta(seconds=1))
    assert decide(observed(status=CREATING, pod=pod(unplaced), now=2)).reason == "Unschedulable"


@pytest.mark.parametrize("state", ["Suspended", "Running"])
def test_suspending_is_not_supported_and_stops_nothing(state: str) -> None:
    plan = decide(observed(spec={"state": state}, status=RUNNING, pod=pod(running())))
    assert (plan.phase, plan.actions) == (Phase.RUNNING, ())
    assert (plan.ready, plan.reason == "SuspendNotSupported") == (
        (True, False) if state == "Running" else (False, True)
    )


class TestCompleted:
    """What happens when a session is told to end, and afterwards."""

    @pytest.mark.parametrize("current", [None, CREATING, RUNNING])
    def test_the_pod_is_deleted_and_the_session_completed_in_one_pass(self, current: Any) -> None:
        plan = decide(observed(spec={"state": "Completed"}, status=current, pod=pod(running())))
        assert (plan.phase, plan.reason, plan.actions) == (Phase.COMPLETED, "Completed", DELETE)

    def test_nothing_is_made_for_it(self) -> None:
        assert decide(observed(spec={"state": "Completed"})).actions == ()

    def test_a_pod_that_is_leaving_is_left_alone(self) -> None:
        leaving = pod(running(), deletionTimestamp=at(10))
        assert decide(observed(spec={"state": "Completed"}, status=RUNNING, pod=leaving)).actions == ()

    def test_a_failed_session_stays_failed(self) -> None:
        failed = status("Failed", ready=("False", "ShellNotFound", "no shell"), finishedAt=at(0))
        plan = decide(observed(spec={"state": "Completed"}, status=failed))
        assert (plan.phase, plan.reason, plan.message) == (Phase.FAILED, "ShellNotFound", "no shell")

    def test_a_pod_that_appears_afterwards_is_deleted(self) -> None:
        done = status("Completed", ready=("False", "Completed", ""), finishedAt=at(0))
        assert decide(observed(status=done, pod=pod(running()))).actions == DELETE

    def test_a_sidecar_may_serve_the_last_output_until_it_ends(self) -> None:
        done = status("Completed", ready=("False", "ShellExited", ""), finishedAt=at(0), exitCode=7)
        assert decide(observed(status=done, pod=pod(ended(7, message=EXITED)))).actions == ()
        terminal = decide(observed(status=done, pod=pod(ended(7, message=EXITED, phase="Failed"))))
        assert (terminal.actions, terminal.exit_code) == (DELETE, 7)

    def test_the_record_goes_after_its_time_to_live(self) -> None:
        done = status("Completed", ready=("False", "Completed", ""), finishedAt=at(0))
        early = decide(observed(spec={"ttlSecondsAfterFinished": 60}, status=done, now=20))
        assert (early.actions, early.again) == ((), timedelta(seconds=40))
        late = decide(observed(spec={"ttlSecondsAfterFinished": 60}, status=done, now=60))
        assert late.actions == (Action.DELETE_SESSION,)

    def test_a_record_that_an_idempotency_key_stands_for_is_kept_for_a_day(self) -> None:
        done = status("Completed", ready=("False", "Completed", ""), finishedAt=at(0))
        known = observed(spec={"ttlSecondsAfterFinished": 60}, status=done, now=60, created=-20)
        early = decide(replace(known, keyed=True))
        assert (early.actions, early.again) == ((), timedelta(seconds=86_400 - 80))
        assert decide(known).actions == (Action.DELETE_SESSION,)

    def test_without_a_time_to_live_it_stays(self) -> None:
        done = status("Completed", ready=("False", "Completed", ""), finishedAt=at(0))
        plan = decide(observed(spec={"ttlSecondsAfterFinished": 0}, status=done, now=10**8))
        assert (plan.actions, plan.again) == ((), None)


class TestTimeLimits:
    """startTimeoutSeconds and maxDurationSeconds."""

    def test_a_session_is_looked_at_again_when_its_time_to_start_is_over(self) -> None:
        plan = decide(observed(status=CREATING, pod=pod(waiting("workspace", "ErrImagePull")), now=20))
        assert (plan.phase, plan.again) == (Phase.CREATING, timedelta(seconds=100))

    def test_then_it_fails_and_says_why(self) -> None:
        plan = decide(observed(status=CREATING, pod=pod(waiting("workspace", "ErrImagePull")), now=120))
        assert (plan.phase, plan.reason, plan.actions, plan.warning) == (Phase.FAILED, "ImagePullFailed", DELETE, True)
        assert "120 s" in plan.message
        assert "workspace:1" in plan.message

    def test_a_pod_that_replaces_a_lost_one_has_all_the_time_again(self) -> None:
        plan = decide(observed(status=CREATING, pod=pod({}, made=5000), now=5010, created=0))
        assert (plan.phase, plan.again) == (Phase.CREATING, timedelta(seconds=110))

    def test_what_is_in_the_way_of_a_pod_counts_from_when_it_is_needed(self) -> None:
        """A session of yesterday whose pod was lost must not fail at the first refusal of the next one."""
        first = blocked(observed(status=RUNNING, now=90000), "QuotaExceeded", "no")
        assert first.phase is Phase.CREATING
        lost = status("Creating", ready=("False", "QuotaExceeded", "no"), since=90000)
        assert blocked(observed(status=lost, now=90100), "QuotaExceeded", "no").phase is Phase.CREATING
        assert blocked(observed(status=lost, now=90121), "QuotaExceeded", "no").phase is Phase.FAILED

    def test_what_the_node_has_not_done_is_said_when_the_time_is_over(self) -> None:
        waits = pod({"conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]})
        assert decide(observed(pod=waits, now=60)).message == "The pod is being started."
        plan = decide(observed(pod=waits, now=500))
        assert (plan.phase, plan.reason) == (Phase.FAILED, "PodStarting")
        assert "did not start within 120 s" in plan.message
        assert "sandbox" in plan.message

    def test_a_session_that_waited_for_the_operator_has_all_the_time(self) -> None:
        assert blocked(observed(created=-5000), "QuotaExceeded", "no").phase is Phase.CREATING

    @pytest.mark.parametrize(("now", "phase"), [(59, Phase.RUNNING), (60, Phase.COMPLETED)])
    def test_a_session_ends_when_its_time_is_over(self, now: float, phase: Phase) -> None:
        plan = decide(observed(spec={"maxDurationSeconds": 60}, status=RUNNING, pod=pod(running()), now=now))
        assert plan.phase is phase
        if phase is Phase.RUNNING:
            assert plan.again == timedelta(seconds=1)
        else:
            assert (plan.reason, plan.actions) == ("MaxDurationReached", DELETE)

    def test_the_nearer_limit_counts(self) -> None:
        again = status("Creating", ready=("False", "PodStarting", ""), startedAt=at(-30))
        plan = decide(observed(spec={"maxDurationSeconds": 60}, status=again, pod=pod({})))
        assert plan.again == timedelta(seconds=30)


class TestLostPods:
    """A lost pod is replaced, files and numbering go on."""

    LEAVING = pod(running(), deletionTimestamp=at(10))

    def test_a_pod_deleted_from_outside_is_waited_for(self) -> None:
        plan = decide(observed(status=RUNNING, pod=self.LEAVING))
        assert (plan.phase, plan.reason, plan.actions) == (Phase.CREATING, "PodTerminating", ())

    def test_then_the_next_one_is_made(self) -> None:
        assert decide(observed(status=RUNNING)).actions == (Action.CREATE,)

    def test_the_reason_of_the_loss_stays_until_then(self) -> None:
        lost = status("Creating", ready=("False", "OutOfMemory", "too little memory"))
        plan = decide(observed(status=lost, pod=self.LEAVING))
        assert (plan.reason, plan.message) == ("OutOfMemory", "too little memory")

    def test_a_node_that_is_gone_is_named(self) -> None:
        plan = decide(observed(status=RUNNING, pod=self.LEAVING, now=20))
        assert plan.again == timedelta(seconds=20)
        late = decide(observed(status=RUNNING, pod=self.LEAVING, now=40))
        assert (late.phase, late.reason, late.actions) == (Phase.CREATING, "NodeUnreachable", ())
        assert "kubectl delete node node-1" in late.message

    def test_a_pod_whose_loss_was_never_written_down_is_replaced_too(self) -> None:
        plan = decide(observed(status=RUNNING, pod=pod({"phase": "Failed", "reason": "Evicted"})))
        assert (plan.phase, plan.actions, plan.warning) == (Phase.CREATING, DELETE, True)

    @pytest.mark.parametrize(
        ("ages", "phase"),
        [
            ([0] * MAX_RESTARTS, Phase.FAILED),
            ([0] * (MAX_RESTARTS - 1), Phase.CREATING),
            ([-599] + [0] * (MAX_RESTARTS - 1), Phase.FAILED),
            ([-601] + [0] * (MAX_RESTARTS - 1), Phase.CREATING),
        ],
    )
    def test_one_that_is_lost_too_often_fails(self, ages: list[float], phase: Phase) -> None:
        current = status(
            "Creating",
            ready=("False", "OutOfMemory", "It ran out of memory."),
            pod={"name": "ws-abc123", "uid": "uid-pod"},
            lastRestartTimes=[at(age) for age in ages],
        )
        plan = decide(observed(status=current))
        assert plan.phase is phase
        if phase is Phase.FAILED:
            assert plan.reason == "TooManyRestarts"
            assert "It ran out of memory." in plan.message

    def test_a_lost_volume_is_the_end(self) -> None:
        claim = {"metadata": {"name": "ws-abc123"}, "status": {"phase": "Lost"}}
        plan = decide(observed(status=RUNNING, claim=claim))
        assert (plan.phase, plan.reason) == (Phase.FAILED, "VolumeLost")
        assert "ws-abc123" in plan.message


def test_what_can_never_be_made_fails_at_once() -> None:
    plan = refused(observed(status=CREATING), "WorkspaceInvalid", "bad")
    assert (plan.phase, plan.reason, plan.warning) == (Phase.FAILED, "WorkspaceInvalid", True)


PODS: list[Any] = [None] + [
    pod(each)
    for each in (
        {},
        running(),
        running(ready=False),
        ended(7, message=EXITED),
        ended(7, message=EXITED, phase="Failed"),
        ended(137, reason="OOMKilled"),
        ended(127, message='{"shell":"not started"}'),
        waiting("workspace", "ErrImagePull"),
        {"phase": "Running", "initContainerStatuses": [container("pty", running={})]},
    )
]


@pytest.mark.parametrize("found", [*PODS, pod(running(), deletionTimestamp=at(9))])
@pytest.mark.parametrize("current", [None, "Creating", "Running", "Completed", "Failed"])
@pytest.mark.parametrize("state", ["Running", "Suspended", "Completed"])
def test_in_every_state_there_is_a_message_and_no_way_back(found: Any, current: str | None, state: str) -> None:
    now = status(current, ready=("False", "Some", "words"), finishedAt=at(0), startedAt=at(0)) if current else None
    plan = decide(observed(spec={"state": state}, status=now, pod=found))
    assert plan.message
    assert plan.reason
    assert plan.ready <= (plan.phase is Phase.RUNNING)
    if current in {"Completed", "Failed"}:
        assert plan.phase.value == current
        assert Action.CREATE not in plan.actions
    if found is not None:
        assert Action.CREATE not in plan.actions
    if state == "Completed":
        assert plan.phase.finished
