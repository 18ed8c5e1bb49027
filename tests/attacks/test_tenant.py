"""What somebody with the role `edit` in their own namespace can do, and what not; and what our own programs can."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attacks.conftest import BLUE, RED, Organization, lives
from support.kubectl import Kubectl
from support.session import Session

SYSTEM = "codesessions-system"
EDITOR = f"system:serviceaccount:{BLUE}:editor"


@pytest.fixture(scope="module")
def editor(blue: Organization, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl of an account with the role `edit` in namespace blue."""
    blue.kubectl("create", "serviceaccount", "editor")
    blue.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", f"--serviceaccount={BLUE}:editor")
    token = blue.kubectl("create", "token", "editor", "--duration=20m").strip()
    config = json.loads(blue.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
    target = tmp_path_factory.mktemp("editor") / "kubeconfig"
    target.write_text(json.dumps(config))
    return Kubectl(target, BLUE)


def can(kubectl: Kubectl, verb: str, what: str, *more: str) -> bool:
    return kubectl.tries("auth", "can-i", verb, what, *more).stdout.strip() == "yes"


def test_with_edit_a_tenant_rules_its_own_namespace(editor: Kubectl, hostile: Session) -> None:
    """As docs/security.md says: whoever has this role holds the keys of every terminal of the namespace."""
    for verb, what in (
        ("create", "codesessions.codesessions.dev"),
        ("delete", "apps.codesessions.dev"),
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("delete", "networkpolicies"),
    ):
        assert can(editor, verb, what), f"{verb} {what}"
    assert editor.get("secret", hostile.pod) is not None


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("patch", "codesessions.codesessions.dev/status"),
        ("update", "codesessions.codesessions.dev/status"),
        ("patch", "apps.codesessions.dev/status"),
        ("patch", "builds.codesessions.dev/status"),
        ("patch", "pods/status"),
        ("get", "apikeys.codesessions.dev"),
        ("create", "apikeys.codesessions.dev"),
        ("patch", "namespaces"),
        ("create", "roles"),
        ("create", "rolebindings"),
        ("patch", "resourcequotas"),
    ],
)
def test_with_edit_a_tenant_makes_no_keys_states_or_rights(editor: Kubectl, verb: str, what: str) -> None:
    assert not can(editor, verb, what)


def test_where_a_terminal_is_cannot_be_written_by_a_tenant(editor: Kubectl, hostile: Session) -> None:
    """The gateway connects to status.pod.ip: neither way of writing it works."""
    elsewhere = json.dumps({"status": {"pod": {"name": "x", "uid": "x", "ip": "169.254.169.254"}}})
    target = f"codesession/{hostile.name}"
    answer = editor.tries("patch", target, "--subresource=status", "--type=merge", "-p", elsewhere)
    assert answer.returncode != 0
    assert "forbidden" in answer.stderr.lower()
    editor.tries(
        "patch", target, "--type=merge", "-p", elsewhere
    )  # taken, and without effect (KEP: status subresource)
    assert hostile.resource()["status"]["pod"]["ip"] != "169.254.169.254"
    lives(hostile)


@pytest.mark.parametrize("place", [RED, SYSTEM, "kube-system", "default"])
def test_with_edit_a_tenant_sees_nothing_of_others(editor: Kubectl, place: str, victim: Session) -> None:
    for what in ("secrets", "pods", "codesessions.codesessions.dev", "configmaps", "events"):
        answer = editor.tries("-n", place, "get", what)
        assert answer.returncode != 0
        assert "forbidden" in answer.stderr.lower()


POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "escape"},
    "spec": {"containers": [{"name": "x", "image": "x", "command": ["sleep", "1"]}]},
}


@pytest.mark.parametrize(
    "spec",
    [
        {"hostNetwork": True},
        {"hostPID": True},
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        {"securityContext": {"runAsUser": 0}},
        {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]},
        {"containers": [{"name": "x", "image": "x", "ports": [{"containerPort": 80, "hostPort": 80}]}]},
    ],
)
def test_pods_that_get_out_are_refused_by_the_namespaces_label(editor: Kubectl, spec: dict[str, Any]) -> None:
    """Pod Security restricted: without it a pod of the node's own network could say it is a terminal."""
    body = {**POD, "spec": {**POD["spec"], **spec}}
    answer = editor.tries("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
    assert answer.returncode != 0
    assert "violates PodSecurity" in answer.stderr


def test_a_session_gets_no_more_than_its_namespace_allows(editor: Kubectl) -> None:
    """A CodeSession makes a pod with the operator's hands: what it may ask for is no way round the role."""
    for workspace in ({"runAsUser": 0}, {"hostNetwork": True}, {"securityContext": {"privileged": True}}):
        spec = {"projectName": "x", "workspace": workspace}
        meta = {"name": "cs-more"}
        body = {"apiVersion": "codesessions.dev/v1alpha1", "kind": "CodeSession", "metadata": meta, "spec": spec}
        answer = editor.tries("create", "--validate=strict", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
        assert answer.returncode != 0, workspace


NEVER = (
    ("list", "secrets"),
    ("watch", "secrets"),
    ("update", "secrets"),
    ("delete", "secrets"),
    ("create", "pods/exec"),
    ("create", "pods/attach"),
    ("create", "pods/portforward"),
    ("patch", "pods/ephemeralcontainers"),
    ("create", "serviceaccounts/token"),
    ("impersonate", "users"),
    ("impersonate", "serviceaccounts"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io"),
    ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("create", "apikeys.codesessions.dev"),
    ("*", "*"),
)


@pytest.mark.parametrize("component", ["operator", "api", "gateway"])
@pytest.mark.parametrize("namespace", [RED, SYSTEM])
def test_no_program_of_ours_may_what_it_never_does(red: Organization, component: str, namespace: str) -> None:
    """Asked of the cluster itself (SelfSubjectRulesReview and SubjectAccessReview)."""
    account = f"--as=system:serviceaccount:{SYSTEM}:codesessions-{component}"
    kubectl = Kubectl(red.kubectl.kubeconfig, namespace)
    assert [each for each in NEVER if can(kubectl, *each, account)] == []
    rules = kubectl("auth", "can-i", "--list", account, "--no-headers")
    assert not [line for line in rules.splitlines() if line.split()[0] in {"*", "*.*"}]
