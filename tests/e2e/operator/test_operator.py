"""One operator on a real API server: the life of a session, and what can befall it."""

from __future__ import annotations

import pytest
from support.controlplane import ControlPlane
from support.handkubelet import EXITED, HandSession, ended, running, waiting
from support.kubectl import Kubectl
from support.podsecurity import confined
from support.session import until

from .conftest import ACCOUNT, Make, OperatorProcess, Start


@pytest.fixture
def operator(start: Start) -> OperatorProcess:
    found = start()
    until("the operator leads", found.leads, seconds=120)
    return found


def of_the_session(plane: ControlPlane, session: HandSession) -> list[tuple[str, str]]:
    """What the operator wrote for a session, and was not refused."""
    names = {session.name, session.pod_name, ""}
    return [
        (call.verb, call.resource)
        for call in plane.calls()
        if call.account == ACCOUNT
        and call.verb not in {"get", "list", "watch"}
        and call.code < 400
        and (call.name in names or call.name.startswith(f"{session.name}."))
        and call.resource not in {"leases", "networkpolicies"}
    ]


def denied(plane: ControlPlane) -> list[tuple[str, str]]:
    return [(call.verb, call.resource) for call in plane.calls() if call.account == ACCOUNT and call.code == 403]


@pytest.mark.usefixtures("operator")
def test_a_whole_life_takes_at_most_ten_writes_and_no_more_rights_than_it_has(
    plane: ControlPlane, make: Make, kubectl: Kubectl
) -> None:
    session = make("cs-life")
    session.until_pod()
    condition = session.until_phase("Creating", "PodStarting")
    assert condition["observedGeneration"] == 1
    session.bind()
    session.says({"phase": "Pending"})
    session.says(running(is_ready=False))
    session.says(running())
    session.until_phase("Running", "Running")
    kubectl.wait("codesession/cs-life", "condition=Ready")
    status = session.status
    assert status["pod"]["ip"] == "10.244.0.7"
    assert (status["workspaceId"], status["restarts"]) == ("ws_life", 0)
    assert status["ptyEndpoint"].endswith("/cs_life")
    session.says(ended(7, message=EXITED))
    session.until_phase("Completed", "ShellExited")
    assert session.status["exitCode"] == 7
    session.says(ended(7, message=EXITED, phase="Failed"))
    until("the pod is deleted", session.is_leaving)
    session.is_gone()
    until("events are there", lambda: sorted(session.events()) == ["Running", "ShellExited"])
    writes = of_the_session(plane, session)
    assert len(writes) <= 10, writes
    assert denied(plane) == []
    assert kubectl.get("pvc", "ws-life") is not None
    described = kubectl("describe", "codesession", "cs-life")
    assert "ShellExited" in described
    assert "The shell ended with exit code 7." in described


@pytest.mark.usefixtures("operator")
def test_completed_on_request(make: Make) -> None:
    session = make("cs-request")
    session.run()
    session.patch(state="Completed")
    session.until_phase("Completed", "Completed")
    until("the pod is deleted", session.is_leaving)


@pytest.mark.usefixtures("operator")
def test_a_pod_deleted_by_hand_is_replaced_when_it_is_gone(make: Make, kubectl: Kubectl) -> None:
    session = make("cs-byhand")
    first = session.run()
    kubectl("delete", "pod", session.pod_name, "--wait=false")
    session.until_phase("Creating", "PodTerminating")
    session.is_gone()
    second = session.until_pod(other_than=first)
    session.run()
    assert session.status["restarts"] == 1
    assert session.status["pod"]["uid"] == second


@pytest.mark.parametrize(
    ("name", "status", "reason", "words"),
    [
        (
            "cs-evicted",
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "PodLost",
            "low on memory",
        ),
        ("cs-oom", ended(137, reason="OOMKilled", phase="Failed"), "OutOfMemory", "limits.memory"),
        ("cs-killed", ended(137, phase="Failed"), "ContainerKilled", "137"),
        ("cs-shutdown", {"phase": "Failed", "reason": "Terminated", "message": "node shutdown"}, "PodLost", "shutdown"),
    ],
)
@pytest.mark.usefixtures("operator")
def test_a_lost_pod_is_replaced_and_the_reason_stays_until_then(
    make: Make, kubectl: Kubectl, name: str, status: dict[str, object], reason: str, words: str
) -> None:
    session = make(name)
    first = session.run()
    session.says(status)
    # A pod that has ended is deleted at once: the kubelet need not confirm it.
    session.until_pod(other_than=first)
    session.run()
    assert session.status["restarts"] == 1
    until("its events are there", lambda: sorted(session.events()) == sorted(["Running", reason, "Running"]))
    assert words in kubectl("get", "events")


@pytest.mark.usefixtures("operator")
def test_a_pod_that_is_lost_again_and_again_fails_the_session(make: Make) -> None:
    session = make("cs-again")
    uid = session.run()
    for _ in range(5):
        session.says(ended(137, reason="OOMKilled", phase="Failed"))
        uid = session.until_pod(other_than=uid)
        session.bind()
    session.says(ended(137, reason="OOMKilled", phase="Failed"))
    condition = session.until_phase("Failed", "TooManyRestarts")
    assert "out of memory" in condition["message"]
    assert session.status["restarts"] == 5


@pytest.mark.usefixtures("operator")
def test_a_node_that_is_gone_is_named_and_nothing_runs_twice(make: Make, kubectl: Kubectl) -> None:
    session = make("cs-nodegone")
    first = session.run()
    session.says(running(is_ready=False))
    condition = session.until_phase("Running", "TerminalNotReady")
    assert "node-of-the-test" in condition["message"]
    kubectl("delete", "pod", session.pod_name, "--wait=false", "--grace-period=1")
    condition = session.until_phase("Creating", "NodeUnreachable")
    assert "kubectl delete node node-of-the-test" in condition["message"]
    assert (session.pod() or {})["metadata"]["uid"] == first
    session.is_gone()
    session.until_pod(other_than=first)


@pytest.mark.parametrize(
    ("name", "status", "reason", "words"),
    [
        ("cs-image", waiting("workspace", "ImagePullBackOff", "not found"), "ImagePullFailed", "workspace:1"),
        ("cs-config", waiting("workspace", "CreateContainerConfigError", 'secret "x"'), "ContainerConfigInvalid", "x"),
        ("cs-crash", waiting("pty", "CrashLoopBackOff"), "SidecarFailing", "kubectl logs ws-crash -c pty"),
    ],
)
@pytest.mark.usefixtures("operator")
def test_what_keeps_it_from_starting_is_said_and_fails_it_in_the_end(
    make: Make, name: str, status: dict[str, object], reason: str, words: str
) -> None:
    session = make(name, startTimeoutSeconds=600)
    session.until_pod()
    session.bind()
    session.says(status)
    assert words in session.until_phase("Creating", reason)["message"]
    session.patch(startTimeoutSeconds=6)
    condition = session.until_phase("Failed", reason)
    assert words in condition["message"]
    assert "6 s" in condition["message"]
    until("the pod is deleted", session.is_leaving)
    assert "finishedAt" in session.status


@pytest.mark.usefixtures("operator")
def test_a_shell_that_cannot_be_started_fails_it(make: Make) -> None:
    session = make("cs-noshell")
    session.run()
    session.says(ended(127, message='{"shell":"not started","error":"exec /bin/nosuch: No such file or directory"}'))
    assert "/bin/nosuch" in session.until_phase("Failed", "ShellNotFound")["message"]
    assert "exitCode" not in session.status


@pytest.mark.usefixtures("operator")
def test_somebody_elses_pod_of_the_name_is_left_alone(make: Make, kubectl: Kubectl) -> None:
    container = {"name": "x", "image": "x"}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ws-taken"}, "spec": {"containers": [container]}}
    )
    session = make("cs-taken")
    condition = session.until_phase("Creating", "NameTaken")
    assert "Pod ws-taken" in condition["message"]
    assert (session.pod() or {})["spec"]["containers"][0]["name"] == "x"
    kubectl("delete", "pod", "ws-taken", "--wait=false")
    until("ours is made", lambda: ((session.pod() or {}).get("metadata") or {}).get("ownerReferences"))


@pytest.mark.usefixtures("operator")
def test_pod_security_and_limits_of_the_namespace_are_passed_or_said(make: Make, kubectl: Kubectl) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, label)
    make("cs-restricted").until_pod()
    limit = {"type": "Container", "max": {"memory": "512Mi"}}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": [limit]}}
    )
    large = confined("large", resources={"limits": {"memory": "2Gi"}})
    until("the API server has heard of the limit", lambda: "maximum memory usage" in kubectl.refusal(large))
    session = make("cs-toolarge", workspace={"resources": {"limits": {"memory": "2Gi"}}})
    condition = session.until_phase("Creating", "AdmissionRefused")
    assert "maximum memory usage per Container is 512Mi" in condition["message"]
    kubectl("delete", "limitrange", "small")
    session.until_pod()


@pytest.mark.usefixtures("operator")
def test_a_workspace_that_can_never_be_made_fails_at_once(make: Make) -> None:
    session = make("cs-invalid", workspace={"nodeSelector": {"not a label!": "x"}})
    assert "not a label!" in session.until_phase("Failed", "WorkspaceInvalid")["message"]


@pytest.mark.usefixtures("operator")
def test_suspending_is_not_supported_yet(make: Make) -> None:
    session = make("cs-suspend")
    uid = session.run()
    session.patch(state="Suspended")
    session.until_phase("Running", "SuspendNotSupported")
    session.patch(state="Running")
    session.until_phase("Running", "Running")
    assert (session.pod() or {})["metadata"]["uid"] == uid


@pytest.mark.usefixtures("operator")
def test_a_name_used_again_waits_for_what_the_first_one_left(make: Make, kubectl: Kubectl) -> None:
    session = make("cs-reused")
    first = session.run()
    kubectl("delete", "codesession", session.name)
    session = make("cs-reused")
    session.until_phase("Creating", "WaitingForDeletion")
    for kind in ("secret", "pvc", "pod"):  # as the garbage collector does
        kubectl("patch", kind, session.pod_name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        kubectl("delete", kind, session.pod_name, "--force", "--grace-period=0", "--wait=false")
    session.until_pod(other_than=first)


@pytest.mark.usefixtures("operator")
def test_time_limits(make: Make, kubectl: Kubectl) -> None:
    session = make("cs-limited")
    session.run()
    session.patch(maxDurationSeconds=3)
    session.until_phase("Completed", "MaxDurationReached")
    session.patch(ttlSecondsAfterFinished=3)
    until("the record is gone", lambda: kubectl.get("codesession", session.name) is None)


@pytest.mark.usefixtures("operator")
def test_the_network_policy_of_the_namespace(make: Make, kubectl: Kubectl) -> None:
    make("cs-policy").until_pod()
    policy = until("there is a policy", lambda: kubectl.get("networkpolicy", "codesessions-workspaces"))
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    blocks = [peer["ipBlock"] for rule in policy["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert "192.0.2.1/32" in blocks[0]["except"]  # the API server's address
    assert "169.254.0.0/16" in blocks[0]["except"]


@pytest.mark.usefixtures("operator")
def test_children_are_owned_so_that_they_go_with_the_session(make: Make, kubectl: Kubectl) -> None:
    session = make("cs-owner")
    session.until_pod()
    uid = session.resource()["metadata"]["uid"]
    for kind in ("secret", "pvc", "pod"):
        (owner,) = (kubectl.get(kind, session.pod_name) or {})["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (uid, True, False)
    session.until_phase("Creating", "PodStarting")  # it does not start, so that is written down in the end
