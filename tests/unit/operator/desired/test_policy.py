"""What the NetworkPolicy says, evaluated for pairs that must and must not talk (Kubernetes: network policies)."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from codesessions_operator.desired.common import metadata
from codesessions_operator.desired.policy import policy
from support.operator import SETTINGS, session

APISERVER = ["10.96.0.1", "192.0.2.10", "fd00::10"]
POLICY = policy("demo", SETTINGS, APISERVER)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))


def allows_in(namespace: str, labels: dict[str, str], port: int) -> bool:
    for rule in POLICY["spec"]["ingress"]:
        for source in rule["from"]:
            here = selects(source["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
            if here and selects(source["podSelector"], labels):
                return any(each["port"] == port for each in rule["ports"])
    return False


def allows_out(address: str, port: int, *, pod: bool = False, found: dict[str, Any] = POLICY) -> bool:
    """`pod`: the address is that of a pod in the cluster."""
    target = ipaddress.ip_address(address)
    for rule in found["spec"]["egress"]:
        if "ports" in rule and all(each["port"] != port for each in rule["ports"]):
            continue
        for peer in rule["to"]:
            if "namespaceSelector" in peer:
                if pod:
                    return True
            elif target in ipaddress.ip_network(peer["ipBlock"]["cidr"]) and not any(
                target in ipaddress.ip_network(hole) for hole in peer["ipBlock"].get("except", [])
            ):
                return True
    return False


API = {"app.kubernetes.io/name": "codesessions", "app.kubernetes.io/component": "api"}
GATEWAY = {**API, "app.kubernetes.io/component": "gateway"}
OPERATOR = {**API, "app.kubernetes.io/component": "operator"}
WORKSPACE = metadata(session())["labels"]


def test_it_is_about_all_workspaces_and_no_other_pod() -> None:
    selector = POLICY["spec"]["podSelector"]
    assert selects(selector, WORKSPACE)
    assert not selects(selector, API)
    assert not selects(selector, {"app": "somebody-elses"})
    assert POLICY["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert (POLICY["metadata"]["name"], POLICY["metadata"]["namespace"]) == ("codesessions-workspaces", "demo")


@pytest.mark.parametrize(
    ("namespace", "labels", "port", "wanted"),
    [
        ("home", API, 7681, True),
        ("home", GATEWAY, 7681, True),
        ("home", API, 22, False),
        ("home", OPERATOR, 7681, True),
        ("demo", API, 7681, False),
        ("demo", WORKSPACE, 7681, False),
        ("home", {}, 7681, False),
    ],
)
def test_who_may_reach_the_sidecar(namespace: str, labels: dict[str, str], port: int, wanted: bool) -> None:
    assert allows_in(namespace, labels, port) is wanted


@pytest.mark.parametrize(
    ("address", "port", "wanted"),
    [
        ("203.0.113.5", 443, True),
        ("2001:db8::1", 443, True),
        ("169.254.169.254", 80, False),
        ("fd00:ec2::254", 80, False),
        ("fe80::1", 80, False),
        ("10.96.0.1", 443, False),
        ("192.0.2.10", 6443, False),
        ("fd00::10", 6443, False),
    ],
)
def test_what_workspaces_may_reach(address: str, port: int, wanted: bool) -> None:
    assert allows_out(address, port) is wanted


def test_names_can_be_resolved_whatever_egress_says() -> None:
    none = policy("demo", replace(SETTINGS, egress=""), APISERVER)
    assert allows_out("10.244.0.2", 53, pod=True, found=none)
    assert not allows_out("10.244.0.2", 80, pod=True, found=none)
    assert not allows_out("203.0.113.5", 443, found=none)


def test_a_hole_is_only_where_it_is_inside() -> None:
    """The API server refuses an `except` that is not strictly inside its block."""
    found = policy("demo", replace(SETTINGS, egress="10.0.0.0/8, 192.0.2.10/32,169.254.169.254/32"), APISERVER)
    blocks = [peer["ipBlock"] for rule in found["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert blocks == [{"cidr": "10.0.0.0/8", "except": ["10.96.0.1/32"]}]
