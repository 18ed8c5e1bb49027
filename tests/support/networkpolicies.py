"""What NetworkPolicies allow, as a network plugin that enforces them would decide (Kubernetes: network policies).

Written after the API's own words, for TCP and UDP to a port's number. Plugins differ in one thing: whether an `ipBlock`
means pods too, whose addresses are in it. So that is asked both ways.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A pod, or, without a namespace, an address outside the cluster."""

    name: str
    address: str
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    namespace_labels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """Its named ports."""


def selects(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a label selector takes labels; an empty one takes all (Kubernetes: labels and selectors)."""
    found = selector or {}
    if any(labels.get(key) != value for key, value in (found.get("matchLabels") or {}).items()):
        return False
    for each in found.get("matchExpressions") or []:
        value, wanted = labels.get(each["key"]), each.get("values") or []
        good = {
            "In": value in wanted,
            "NotIn": value not in wanted,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[each["operator"]]
        if not good:
            return False
    return True


def allowed(
    policies: Sequence[Object],
    source: Endpoint,
    target: Endpoint,
    port: int,
    protocol: str = "TCP",
    *,
    blocks_mean_pods: bool = True,
) -> bool:
    """Whether `source` may open a connection to a port of `target`: it must be let out, and there be let in."""

    def passes(here: Endpoint, there: Endpoint, direction: str) -> bool:
        if not here.namespace:
            return True  # nobody's policies are about it
        applying = [each for each in policies if _applies(each, here, direction)]
        rules = [rule for each in applying for rule in each["spec"].get(direction.lower()) or []]
        peers = "from" if direction == "Ingress" else "to"
        return not applying or any(
            _port(rule.get("ports"), target, port, protocol)
            and (not rule.get(peers) or any(_peer(peer, here, there, blocks_mean_pods) for peer in rule[peers]))
            for rule in rules
        )

    return passes(source, target, "Egress") and passes(target, source, "Ingress")


def _applies(policy: Object, pod: Endpoint, direction: str) -> bool:
    spec = policy["spec"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and selects(spec["podSelector"], pod.labels)
        and direction in spec["policyTypes"]
    )


def _port(ports: list[Object] | None, target: Endpoint, port: int, protocol: str) -> bool:
    if not ports:
        return True
    for each in ports:
        if each.get("protocol", "TCP") != protocol:
            continue
        number = each.get("port")
        number = target.ports.get(number) if isinstance(number, str) else number
        if number is None or number <= port <= each.get("endPort", number):
            return True
    return False


def _peer(peer: Object, here: Endpoint, there: Endpoint, blocks_mean_pods: bool) -> bool:
    if "ipBlock" in peer:
        if there.namespace and not blocks_mean_pods:
            return False
        address, block = ipaddress.ip_address(there.address), peer["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(hole) for hole in block.get("except") or []
        )
    if not there.namespace:
        return False
    if "namespaceSelector" in peer:
        near = selects(peer["namespaceSelector"], there.namespace_labels)
    else:
        near = there.namespace == here.namespace
    return near and selects(peer.get("podSelector"), there.labels)
