"""What somebody with the role `edit` in their own namespace can do, and what not; and what our own programs can."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from attacks.conftest import BLUE, RED, Organization, lives
from support.kubectl import Kubectl
from support.session import Session, until

SYSTEM = "codesessions-system"
Right = tuple[str, str]
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
    found = Kubectl(target, BLUE)
    what = ("auth", "can-i", "create", "codesessions.codesessions.dev")
    until("the API server has heard of the role", lambda: found.tries(*what).returncode == 0)
    return found


def allowed(kubectl: Kubectl, user: str, namespace: str, *asked: Right) -> list[Right]:
    """Which of these the API server would let a user do in a namespace (SubjectAccessReview)."""
    reviews = []
    for verb, what in asked:
        name, _, sub = what.partition("/")
        resource, _, group = name.partition(".")
        attributes = {"namespace": namespace, "verb": verb, "resource": resource, "subresource": sub, "group": group}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}", "system:authenticated"]
        spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
        reviews.append({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    # kubectl prints one object after the other.
    text, found, decoder = kubectl("create", "-f", "-", "-o", "json", stdin=body).lstrip(), [], json.JSONDecoder()
    while text:
        review, end = decoder.raw_decode(text)
        found.append(review)
        text = text[end:].lstrip()
    assert len(found) == len(asked)
    return [each for each, review in zip(asked, found, strict=True) if review["status"]["allowed"]]


def test_with_edit_a_tenant_rules_its_own_namespace(blue: Organization, editor: Kubectl, hostile: Session) -> None:
    """As docs/security.md says: whoever has this role holds the keys of every terminal of the namespace."""
    rights = (
        ("create", "codesessions.codesessions.dev"),
        ("delete", "apps.codesessions.dev"),
        ("get", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("create", "ingresses.networking.k8s.io"),
        ("delete", "networkpolicies.networking.k8s.io"),
        ("impersonate", "serviceaccounts"),
    )
    assert allowed(blue.kubectl, EDITOR, BLUE, *rights) == list(rights)
    assert editor.get("secret", hostile.pod) is not None


def test_with_edit_a_tenant_makes_no_keys_states_or_rights(blue: Organization, editor: Kubectl) -> None:
    rights = (
        ("patch", "codesessions.codesessions.dev/status"),
        ("update", "codesessions.codesessions.dev/status"),
        ("patch", "apps.codesessions.dev/status"),
        ("patch", "builds.codesessions.dev/status"),
        ("patch", "pods/status"),
        ("get", "apikeys.codesessions.dev"),
        ("create", "apikeys.codesessions.dev"),
        ("patch", "namespaces"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("patch", "resourcequotas"),
        ("patch", "limitranges"),
    )
    assert allowed(blue.kubectl, EDITOR, BLUE, *rights) == []


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
def test_with_edit_a_tenant_sees_nothing_of_others(red: Organization, editor: Kubectl, place: str) -> None:
    what = ("secrets", "pods", "pods/log", "codesessions.codesessions.dev", "configmaps", "events", "services")
    rights = [(verb, each) for each in what for verb in ("get", "list", "watch", "create", "delete")]
    assert allowed(red.kubectl, EDITOR, place, *rights) == []
    answer = editor.tries("-n", place, "get", "secrets")  # and asked as the account itself
    assert answer.returncode != 0
    assert "forbidden" in answer.stderr.lower()


CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "x", "image": "x", "securityContext": CONFINED, "resources": {"limits": {"cpu": "1"}}}],
}


def try_pod(kubectl: Kubectl, spec: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "escape"}, "spec": spec}
    return kubectl.tries("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))


def container(**changed: Any) -> dict[str, Any]:
    return {"containers": [{**POD["containers"][0], **changed}]}


@pytest.mark.parametrize(
    "changed",
    [
        {"hostNetwork": True},
        {"hostPID": True},
        {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
        {"securityContext": {**POD["securityContext"], "runAsNonRoot": False, "runAsUser": 0}},
        container(securityContext={"privileged": True}),
        container(ports=[{"containerPort": 80, "hostPort": 80}]),
    ],
)
def test_pods_that_get_out_are_refused_by_the_namespaces_label(editor: Kubectl, changed: dict[str, Any]) -> None:
    """Pod Security restricted: without it a pod of the node's own network could say it is a terminal."""
    answer = try_pod(editor, {**POD, **changed})
    assert answer.returncode != 0
    assert "violates PodSecurity" in answer.stderr


def test_the_same_pod_without_a_way_out_is_taken(editor: Kubectl) -> None:
    answer = try_pod(editor, POD)
    assert answer.returncode == 0, answer.stderr


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
    """Asked of the cluster itself."""
    account = f"system:serviceaccount:{SYSTEM}:codesessions-{component}"
    assert allowed(red.kubectl, account, namespace, *NEVER) == []
    assert allowed(red.kubectl, account, namespace, ("list", "codesessions.codesessions.dev"))  # or this says nothing
