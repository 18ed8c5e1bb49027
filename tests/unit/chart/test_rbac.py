"""Who may do what, to the letter."""

from __future__ import annotations

from typing import Any

import pytest
from support.helm import Object, render

Rule = tuple[str, str, str, frozenset[str]]

CODESESSIONS, CORE = "codesessions.dev", ""
READ = ["get", "list", "watch"]

CLUSTER = {
    "operator": [
        (CODESESSIONS, "codesessions", "", [*READ, "delete"]),
        (CODESESSIONS, "codesessions/status", "", ["patch"]),
        (CODESESSIONS, "apps/status", "", ["patch"]),
        (CODESESSIONS, "builds/status", "", ["patch"]),
        (CODESESSIONS, "apps", "", READ),
        (CODESESSIONS, "builds", "", [*READ, "create", "delete"]),
        ("apps", "deployments", "", ["list", "watch", "create", "patch"]),
        (CORE, "services", "", ["create", "patch"]),
        ("networking.k8s.io", "ingresses", "", ["create", "patch"]),
        ("gateway.networking.k8s.io", "httproutes", "", ["create", "patch"]),
        (CORE, "pods/log", "", ["get"]),
        (CORE, "pods", "", [*READ, "create", "delete"]),
        (CORE, "persistentvolumeclaims", "", [*READ, "create"]),
        (CORE, "secrets", "", ["get", "create"]),
        (CORE, "events", "", ["create"]),
        ("networking.k8s.io", "networkpolicies", "", ["create", "patch"]),
        ("discovery.k8s.io", "endpointslices", "kubernetes", ["get"]),
    ],
    "api": [
        (CODESESSIONS, "codesessions", "", [*READ, "create", "patch"]),
        (CODESESSIONS, "apps", "", [*READ, "create", "patch", "delete"]),
        (CODESESSIONS, "builds", "", [*READ, "create", "patch"]),
        (CORE, "pods/log", "", ["get"]),
        (CODESESSIONS, "apikeys", "", READ),
        (CORE, "namespaces", "", READ),
    ],
    "gateway": [
        (CODESESSIONS, "codesessions", "", READ),
        (CODESESSIONS, "apikeys", "", READ),
        (CORE, "namespaces", "", READ),
    ],
}
LEASES = [
    ("coordination.k8s.io", "leases", "", ["create"]),
    ("coordination.k8s.io", "leases", "codesessions-operator", ["get", "update"]),
]


def flat(rules: list[Object]) -> set[Rule]:
    return {
        (group, resource, name, frozenset(rule["verbs"]))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }


def table(rows: list[tuple[str, str, str, list[str]]]) -> set[Rule]:
    return {(group, resource, name, frozenset(verbs)) for group, resource, name, verbs in rows}


@pytest.mark.parametrize("component", CLUSTER)
def test_each_program_may_do_what_its_code_does(component: str) -> None:
    role = render().one("ClusterRole", f"codesessions-{component}")
    assert flat(role["rules"]) == table(CLUSTER[component])


def test_only_the_operator_has_a_role_in_its_own_namespace() -> None:
    (role,) = render().all("Role")
    assert role["metadata"]["namespace"] == "system"
    assert flat(role["rules"]) == table(LEASES)


def test_roles_are_bound_to_the_accounts_that_pods_run_as() -> None:
    values: dict[str, Any] = {"gateway": {"serviceAccount": {"create": False, "name": "mine"}}}
    rendered = render(values, release="blue", namespace="elsewhere")
    for component, account in {
        "operator": "blue-codesessions-operator",
        "api": "blue-codesessions-api",
        "gateway": "mine",
    }.items():
        binding = rendered.one("ClusterRoleBinding", f"blue-codesessions-{component}")
        assert binding["roleRef"]["name"] == f"blue-codesessions-{component}"
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "elsewhere"}]
        assert rendered.pod(component)["spec"]["serviceAccountName"] == account
    made = {each["metadata"]["name"] for each in rendered.all("ServiceAccount")}
    assert made == {"blue-codesessions-operator", "blue-codesessions-api"}
    (binding,) = rendered.all("RoleBinding")
    assert binding["subjects"][0]["name"] == "blue-codesessions-operator"


def test_nobody_lists_secrets_or_gets_into_pods() -> None:
    rendered = render()
    rules = [rule for kind in ("Role", "ClusterRole") for role in rendered.all(kind) for rule in role["rules"]]
    assert rules
    for _, resource, _, verbs in flat(rules):
        assert "*" not in verbs
        assert "*" not in resource
        assert not (resource == "secrets" and verbs & {"list", "watch", "delete", "deletecollection", "update"})
        assert resource not in {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"}
        assert not verbs & {"impersonate", "escalate", "bind"}


def test_people_get_what_their_role_in_a_namespace_says() -> None:
    rendered = render()
    grants: dict[str, set[tuple[str, str]]] = {"view": set(), "edit": set(), "admin": set()}
    for role in rendered.all("ClusterRole"):
        for target, found in grants.items():
            if role["metadata"]["labels"].get(f"rbac.authorization.k8s.io/aggregate-to-{target}") == "true":
                found |= {(resource, verb) for _, resource, _, verbs in flat(role["rules"]) for verb in verbs}
    assert grants["view"] == {(kind, verb) for kind in ("codesessions", "apps", "builds") for verb in READ}
    assert {resource for resource, _ in grants["edit"]} == {"codesessions", "apps", "builds"}
    assert grants["view"] < grants["edit"] < grants["admin"]
    assert ("apikeys", "create") in grants["admin"]
    assert not any(resource == "codesessions/status" for resource, _ in grants["admin"])


def test_without_rbac_there_is_none() -> None:
    rendered = render({"rbac": {"create": False, "aggregate": False}})
    for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        assert rendered.all(kind) == []
