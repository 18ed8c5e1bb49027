"""What goes wrong on clusters: each case ends in the right state and says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from support.kubectl import Kubectl
from support.podsecurity import confined
from support.session import Sessions, ready, until


def test_an_image_that_cannot_be_pulled_says_so_and_fails_in_the_end(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.apply("cs-noimage", workspace={"image": "localhost/no/such:1"}, startTimeoutSeconds=600)
    condition = session.until_reason("ImagePullFailed")
    assert "localhost/no/such:1" in condition["message"]
    kubectl("patch", "csess", session.name, "--type=merge", "-p", json.dumps({"spec": {"startTimeoutSeconds": 10}}))
    assert session.until_phase("failed")["status"] == "failed"
    assert "localhost/no/such:1" in ready(session.resource())["message"]


def test_a_shell_that_does_not_exist_fails_with_its_name(sessions: Sessions) -> None:
    session = sessions.apply("cs-noshell", workspace={"shell": ["/bin/nosuch"]})
    session.until_phase("failed")
    condition = ready(session.resource())
    assert condition["reason"] == "ShellNotFound"
    assert "/bin/nosuch" in condition["message"]


def test_a_storage_class_that_does_not_exist_is_named(sessions: Sessions) -> None:
    storage = {"size": "1Gi", "storageClassName": "no-such-class"}
    session = sessions.apply("cs-nostorage", workspace={"storage": storage})
    condition = session.until_reason("VolumePending")
    assert "no-such-class" in condition["message"]


def test_a_pod_that_fits_nowhere_says_what_is_missing(sessions: Sessions) -> None:
    resources = {"requests": {"cpu": "64"}, "limits": {"cpu": "64", "memory": "128Mi"}}
    session = sessions.apply("cs-toobig", workspace={"resources": resources, "storage": {"ephemeral": True}})
    condition = session.until_reason("Unschedulable")
    assert "cpu" in condition["message"].lower()


def test_a_secret_that_is_missing_is_named(sessions: Sessions) -> None:
    """The kubelet says it when it tries again: after a second as a rule, and after 40 on a crowded node."""
    workspace = {"envFrom": [{"secretRef": {"name": "no-such-secret"}}], "storage": {"ephemeral": True}}
    session = sessions.apply("cs-nosecret", workspace=workspace, startTimeoutSeconds=600)
    until("the secret is named", lambda: "no-such-secret" in ready(session.resource()).get("message", ""), seconds=300)


def test_suspending_says_not_yet_and_leaves_the_session_running(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("suspend")
    kubectl("patch", "csess", session.name, "--type=merge", "-p", json.dumps({"spec": {"state": "Suspended"}}))
    session.until_reason("SuspendNotSupported")
    kubectl("patch", "csess", session.name, "--type=merge", "-p", json.dumps({"spec": {"state": "Running"}}))
    session.until_phase("running")
    assert session.run("echo still here") == "still here"


def test_a_session_deleted_while_creating_leaves_nothing(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("brief", wait=False)
    kubectl("delete", "codesession", session.name)
    for kind in ("pod", "secret", "pvc"):
        until(f"the {kind} is gone", lambda kind=kind: kubectl.get(kind, session.pod) is None)


def test_a_session_time_limit_completes_it(sessions: Sessions) -> None:
    session = sessions.apply("cs-limited", maxDurationSeconds=5)
    assert session.until_phase("completed")["reason"] == "MaxDurationReached"
    assert session.resource()["status"]["startedAt"]


def test_a_finished_session_is_deleted_after_its_time_to_live(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.apply("cs-shortlived", ttlSecondsAfterFinished=3)
    session.until_phase("running")
    session.type("exit\n")
    until("the record is gone", lambda: kubectl.get("codesession", session.name) is None)


def test_the_operator_killed_while_sessions_are_made_picks_up_where_it_was(access: Access, sessions: Sessions) -> None:
    system = Kubectl(access.kubeconfig, "codesessions-system")
    made = [sessions.create(f"crash {number}", wait=False) for number in range(3)]
    selector = "--selector=app.kubernetes.io/component=operator"
    system("delete", "pod", selector, "--grace-period=0", "--force")
    made += [sessions.create(f"crash {number}", wait=False) for number in range(3, 6)]
    for session in made:
        session.until_phase("running")
        assert session.resource()["status"].get("restarts", 0) == 0


@pytest.fixture
def quota(kubectl: Kubectl) -> Iterator[None]:
    """No pod more, whoever is on his way out."""
    metadata = {"name": "e2e"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "0"}}}
    kubectl.apply(quota)
    until("the API server has heard of the quota", lambda: "exceeded quota" in kubectl.refusal(confined("quota")))
    yield
    kubectl("delete", "resourcequota", "e2e", "--ignore-not-found")


@pytest.mark.usefixtures("quota")
def test_a_quota_that_is_used_up_is_said_and_waited_for(client: Client, kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("quota", wait=False)
    condition = session.until_reason("QuotaExceeded")
    assert "pods" in condition["message"]
    status, problem = client.call("POST", f"{session.path}/input", {"text": "x"})
    assert (status, problem["code"]) == (409, "session_not_running")
    kubectl("delete", "resourcequota", "e2e")
    session.until_phase("running")
