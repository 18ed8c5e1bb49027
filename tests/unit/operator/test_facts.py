from __future__ import annotations

from typing import Any

import pytest
from codesessions_operator.facts import Fate, read_pod
from support.operator import at, container, ended, pod, running, waiting

EXITED = '{"shell":"exited","code":7}'
NOT_STARTED = '{"shell":"not started","error":"exec /bin/nosuch: No such file or directory"}'
TARGET = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API"}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}


NO_SANDBOX = {"type": "PodReadyToStartContainers", "status": "False"}


@pytest.mark.parametrize(
    ("status", "fate", "reason", "words"),
    [
        ({}, Fate.STARTING, "PodStarting", "being started"),
        ({"phase": "Pending"}, Fate.STARTING, "PodStarting", "being started"),
        (waiting("workspace", "ContainerCreating"), Fate.STARTING, "PodStarting", "being started"),
        (waiting("workspace", "PodInitializing"), Fate.STARTING, "PodStarting", "being started"),
        ({"conditions": [NO_SANDBOX]}, Fate.STARTING, "PodStarting", "kubectl describe pod ws-abc123"),
        (running(), Fate.READY, "Running", "shell runs"),
        (running(ready=False), Fate.NOT_READY, "TerminalNotReady", "kubectl describe node node-1"),
        (waiting("workspace", "ErrImagePull", "not found"), Fate.STARTING, "ImagePullFailed", "workspace:1"),
        (waiting("workspace", "ErrImageNeverPull"), Fate.STARTING, "ImagePullFailed", "ErrImageNeverPull"),
        (waiting("workspace", "ImagePullBackOff"), Fate.STARTING, "ImagePullFailed", "imagePullSecrets"),
        (waiting("workspace", "InvalidImageName"), Fate.STARTING, "ImagePullFailed", "InvalidImageName"),
        (waiting("pty", "ErrImagePull"), Fate.STARTING, "ImagePullFailed", "sidecar:1"),
        (
            waiting("workspace", "CreateContainerConfigError", 'secret "x" not found'),
            Fate.STARTING,
            "ContainerConfigInvalid",
            'secret "x" not found',
        ),
        (waiting("workspace", "CreateContainerError", "oops"), Fate.STARTING, "ContainerConfigInvalid", "oops"),
        (waiting("pty", "CrashLoopBackOff"), Fate.STARTING, "SidecarFailing", "kubectl logs ws-abc123 -c pty"),
        ({"conditions": [UNSCHEDULED]}, Fate.STARTING, "Unschedulable", "Insufficient cpu"),
        (ended(7, message=EXITED), Fate.ENDED, "ShellExited", "exit code 7"),
        (ended(0, message='{"shell":"exited","code":0}', reason="Completed"), Fate.ENDED, "ShellExited", "code 0"),
        (ended(127, message=NOT_STARTED), Fate.IMPOSSIBLE, "ShellNotFound", "/bin/nosuch"),
        (ended(128, reason="StartError", message="exec format error"), Fate.IMPOSSIBLE, "ContainerNotStarted", "exec"),
        (ended(137, reason="OOMKilled"), Fate.LOST, "OutOfMemory", "limits.memory"),
        (ended(137, reason="OOMKilled", phase="Failed"), Fate.LOST, "OutOfMemory", "limits.memory"),
        (ended(137, reason="OOMKilled", message='{"shell":"exited","code":137}'), Fate.LOST, "OutOfMemory", "memory"),
        (ended(3, reason="OOMKilled", message='{"shell":"exited","code":3}'), Fate.ENDED, "ShellExited", "code 3"),
        (ended(137, message='{"shell":"exited","code":137}'), Fate.ENDED, "ShellExited", "code 137"),
        (ended(137), Fate.LOST, "ContainerKilled", "137"),
        (ended(255, reason="Unknown"), Fate.LOST, "ContainerKilled", "Unknown"),
        (ended(1, message="[1, 2]"), Fate.LOST, "ContainerKilled", "exit code 1"),
        (ended(1, message="[" * 4096), Fate.LOST, "ContainerKilled", "exit code 1"),
        ({"phase": "Failed"}, Fate.LOST, "PodLost", "Failed"),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, Fate.LOST, "PodLost", "low on memory"),
        ({"phase": "Failed", "reason": "UnexpectedAdmissionError"}, Fate.LOST, "PodLost", "UnexpectedAdmissionError"),
        ({"phase": "Running", "conditions": [TARGET]}, Fate.LOST, "PodLost", "EvictionByEvictionAPI: Eviction API"),
        ({**ended(129, message=EXITED), "conditions": [TARGET]}, Fate.LOST, "PodLost", "Eviction"),
    ],
)
def test_what_a_pod_says(status: dict[str, Any], fate: Fate, reason: str, words: str) -> None:
    facts = read_pod(pod(status), None)
    assert (facts.fate, facts.reason) == (fate, reason)
    assert words in facts.message


def test_a_user_namespace_is_named_where_one_was_asked_for() -> None:
    found = pod({"conditions": [NO_SANDBOX]})
    assert "user namespace" not in read_pod(found, None).message
    found["spec"]["hostUsers"] = False
    assert "user namespace" in read_pod(found, None).message


def test_the_exit_code_is_the_shells_alone() -> None:
    assert read_pod(pod(ended(7, message=EXITED)), None).exit_code == 7
    assert read_pod(pod(ended(137, reason="OOMKilled")), None).exit_code is None


def test_a_deleted_pod_is_leaving_whatever_else_it_says() -> None:
    found = pod(ended(129, message=EXITED), deletionTimestamp=at(10))
    facts = read_pod(found, None)
    assert (facts.fate, facts.reason) == (Fate.LEAVING, "PodTerminating")
    assert "kept" in facts.message


def test_ephemeral_storage_is_not_said_to_be_kept() -> None:
    found = pod(ended(137))
    found["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    assert "lost" in read_pod(found, None).message


@pytest.mark.parametrize(("phase", "terminal"), [("Running", False), ("Failed", True), ("Succeeded", True)])
def test_a_pod_is_terminal_when_all_of_it_has_ended(phase: str, terminal: bool) -> None:
    assert read_pod(pod(ended(7, message=EXITED, phase=phase)), None).terminal is terminal


@pytest.mark.parametrize(
    ("claim", "reason", "words"),
    [
        ({"spec": {"storageClassName": "nosuch"}, "status": {"phase": "Pending"}}, "VolumePending", "nosuch"),
        ({"spec": {}, "status": {"phase": "Pending"}}, "VolumePending", "default"),
        ({"spec": {}, "status": {"phase": "Bound"}}, "Unschedulable", "unbound"),
        (None, "Unschedulable", "unbound"),
    ],
)
def test_a_volume_that_is_not_there_is_told_from_a_full_cluster(claim: Any, reason: str, words: str) -> None:
    message = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    facts = read_pod(pod({"conditions": [{**UNSCHEDULED, "message": message}]}), claim)
    assert facts.reason == reason
    assert words in facts.message


def test_a_sidecar_that_crashes_says_how_it_ended() -> None:
    again = container("pty", waiting={"reason": "CrashLoopBackOff"})
    again["lastState"] = {"terminated": {"exitCode": 3, "message": "no key"}}
    facts = read_pod(pod({"phase": "Pending", "initContainerStatuses": [again]}), None)
    assert "exit code 3, no key" in facts.message


def test_an_image_that_is_tried_again_and_again_is_one_piece_of_news() -> None:
    cause = 'failed to pull image "x": not found'
    first = read_pod(pod(waiting("workspace", "ErrImagePull", cause)), None)
    backing_off = f'Back-off pulling image "x": ErrImagePull: {cause}'
    assert read_pod(pod(waiting("workspace", "ImagePullBackOff", backing_off)), None) == first


def test_what_preemption_tried_is_left_out() -> None:
    long = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 not helpful."
    facts = read_pod(pod({"conditions": [{**UNSCHEDULED, "message": long}]}), None)
    assert "preemption" not in facts.message
    assert "Insufficient cpu." in facts.message


def test_an_eviction_is_told_from_a_deletion() -> None:
    found = pod({"phase": "Running", "conditions": [TARGET]}, deletionTimestamp=at(10))
    facts = read_pod(found, None)
    assert facts.fate is Fate.LEAVING
    assert "EvictionByEvictionAPI" in facts.message
