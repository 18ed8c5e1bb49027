from __future__ import annotations

import json
from typing import Any

import pytest
from codesessions_operator.facts import read_pod
from codesessions_operator.trim import trim_claim, trim_pod, trim_session
from support.operator import at, container, ended, pod, running, waiting

EXITED = '{"shell":"exited","code":7}'
TARGET = {"type": "DisruptionTarget", "status": "True", "reason": "Evicted"}
CRASHED = {**container("pty", waiting={"reason": "CrashLoopBackOff"}), "lastState": {"terminated": {"exitCode": 3}}}
PENDING = {"spec": {"storageClassName": "x"}, "status": {"phase": "Pending"}, "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    "found",
    [
        pod({}),
        pod(running()),
        pod(running(ready=False)),
        pod(running(), deletionTimestamp=at(10)),
        pod(ended(7, message=EXITED, phase="Failed")),
        pod(ended(137, reason="OOMKilled")),
        pod(waiting("workspace", "ErrImagePull", "no")),
        pod(waiting("pty", "ErrImagePull", "no")),
        pod({"phase": "Pending", "initContainerStatuses": [CRASHED]}),
        pod({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
        pod({"phase": "Running", "conditions": [TARGET]}),
        pod({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no StorageClass"}]}),
    ],
)
def test_a_trimmed_pod_says_what_the_whole_one_says(found: Any) -> None:
    trimmed = trim_pod(found)
    assert read_pod(trimmed, trim_claim(PENDING)) == read_pod(found, PENDING)
    assert trim_pod(trimmed) == trimmed
    assert len(json.dumps(trimmed)) < len(json.dumps(found)) / 2


def test_what_a_node_has_not_made_is_still_known() -> None:
    found = pod({"conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]})
    found["spec"]["hostUsers"] = False
    assert "user namespace" in read_pod(found, None).message
    assert read_pod(trim_pod(found), None) == read_pod(found, None)


def test_ephemeral_storage_is_still_known() -> None:
    found = pod(ended(137))
    found["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    assert read_pod(trim_pod(found), None) == read_pod(found, None)


def test_a_session_loses_only_what_kubectl_added() -> None:
    metadata = {"name": "cs-a", "uid": "u", "resourceVersion": "1", "generation": 2}
    found = {"metadata": {**metadata, "annotations": {"a": "b"}, "labels": {"c": "d"}}, "spec": {"projectName": "p"}}
    assert trim_session(found) == {"metadata": metadata, "spec": {"projectName": "p"}}


def test_a_session_keeps_what_the_api_says_of_it() -> None:
    ours = {"labels": {"codesessions.dev/idempotent": "true"}, "annotations": {"codesessions.dev/request-id": "r1"}}
    metadata = {"name": "cs-a", **ours}
    metadata["annotations"] = {**ours["annotations"], "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    assert trim_session({"metadata": metadata, "spec": {}})["metadata"] == {"name": "cs-a", **ours}
