"""The NetworkPolicies of a namespace with sessions: nothing in or out but what is named (Kubernetes: network policies).

What several policies allow adds up. So `default_deny`, which selects every pod and allows nothing, is what remains for
pods that nobody thought of.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from codesessions_crds.names import MANAGED_BY_LABEL, OPERATOR_MANAGER, ORGANIZATION_LABEL, PTY_PORT

from codesessions_operator.desired.common import WORKSPACE_LABELS
from codesessions_operator.networks import PRIVATE, Network, networks
from codesessions_operator.settings import Settings

Object = dict[str, Any]
NAME = "codesessions-workspaces"
DENY = "codesessions-default-deny"
ELSEWHERE: Object = {
    "namespaceSelector": {"matchExpressions": [{"key": ORGANIZATION_LABEL, "operator": "DoesNotExist"}]}
}
"""Pods of namespaces that are no organisation: the cluster's own, and the platform team's."""
DNS: Object = {"to": [ELSEWHERE], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}


def policies(namespace: str, settings: Settings, apiserver: Sequence[str]) -> list[Object]:
    """All that a namespace with sessions needs. `apiserver` are addresses of the Kubernetes API server."""
    return [policy(namespace, settings, apiserver), *default_deny(namespace, settings)]


def policy(namespace: str, settings: Settings, apiserver: Sequence[str]) -> Object:
    """Ingress: operator, API and gateway, to the sidecar's port. Egress: DNS, and the networks that the settings allow.

    `apiserver` are addresses of the Kubernetes API server, which no workspace may reach.
    """
    components = {"key": "app.kubernetes.io/component", "operator": "In", "values": ["operator", "api", "gateway"]}
    source = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "codesessions"}, "matchExpressions": [components]},
    }
    return body(
        namespace,
        NAME,
        WORKSPACE_LABELS,
        ingress=[{"from": [source], "ports": [{"protocol": "TCP", "port": PTY_PORT}]}],
        egress=[DNS, *reaching(settings.egress, settings, apiserver)],
    )


def default_deny(namespace: str, settings: Settings) -> list[Object]:
    """The policy of whatever pod no other policy selects, unless the settings do without."""
    return [body(namespace, DENY, {}, ingress=[], egress=[])] if settings.default_deny == "true" else []


def body(namespace: str, name: str, labels: dict[str, str], *, ingress: list[Object], egress: list[Object]) -> Object:
    """A NetworkPolicy of pods with these labels, both ways."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED_BY_LABEL: OPERATOR_MANAGER}},
        "spec": {
            "podSelector": {"matchLabels": labels} if labels else {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def reaching(allowed: str, settings: Settings, apiserver: Sequence[str]) -> list[Object]:
    """The egress rule to the networks of a setting; none if nothing of them is left."""
    private = () if settings.egress_private == "true" else PRIVATE
    blocks = allowed_blocks(networks(allowed), refused_networks(settings, apiserver), private)
    return [{"to": [{"ipBlock": block} for block in blocks]}] if blocks else []


def refused_networks(settings: Settings, apiserver: Sequence[str]) -> list[Network]:
    """What nobody may reach, whatever is allowed."""
    return networks(settings.egress_except) + [ipaddress.ip_network(address) for address in apiserver]


def allowed_blocks(
    allowed: Sequence[Network], refused: Sequence[Network], private: Sequence[Network] = ()
) -> list[Object]:
    """`ipBlock`s of networks without what is refused of them, nor what is `private` of those that are wider."""
    return [
        _block(network, [*refused, *(each for each in private if each != network)])
        for network in allowed
        if not any(_inside(network, other) for other in refused)
    ]


def _inside(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def _block(network: Network, refused: Sequence[Network]) -> Object:
    inside = sorted({str(other) for other in refused if _inside(other, network)})
    return {"cidr": str(network), **({"except": inside} if inside else {})}
