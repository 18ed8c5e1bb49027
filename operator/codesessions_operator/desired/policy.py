"""The NetworkPolicy of all workspaces of a namespace: nothing in or out but what is named."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from codesessions_crds.names import MANAGED_BY_LABEL, OPERATOR_MANAGER, PTY_PORT

from codesessions_operator.desired.common import WORKSPACE_LABELS
from codesessions_operator.networks import Network, networks
from codesessions_operator.settings import Settings

NAME = "codesessions-workspaces"


def policy(namespace: str, settings: Settings, apiserver: Sequence[str]) -> dict[str, Any]:
    """Ingress: operator, API and gateway, to the sidecar's port. Egress: DNS, and the networks that the settings allow.

    `apiserver` are addresses of the Kubernetes API server, which no workspace may reach.
    """
    components = {"key": "app.kubernetes.io/component", "operator": "In", "values": ["operator", "api", "gateway"]}
    source = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "codesessions"}, "matchExpressions": [components]},
    }
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    egress: list[dict[str, Any]] = [{"to": [{"namespaceSelector": {}}], "ports": dns}]
    refused = networks(settings.egress_except) + [ipaddress.ip_network(address) for address in apiserver]
    blocks = allowed_blocks(networks(settings.egress), refused)
    if blocks:
        egress.append({"to": [{"ipBlock": block} for block in blocks]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {MANAGED_BY_LABEL: OPERATOR_MANAGER}},
        "spec": {
            "podSelector": {"matchLabels": WORKSPACE_LABELS},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [source], "ports": [{"protocol": "TCP", "port": PTY_PORT}]}],
            "egress": egress,
        },
    }


def allowed_blocks(allowed: Sequence[Network], refused: Sequence[Network]) -> list[dict[str, Any]]:
    """`ipBlock`s of networks without what is refused of them."""
    return [_block(network, refused) for network in allowed if not _within(network, refused)]


def _inside(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def _within(network: Network, refused: Sequence[Network]) -> bool:
    return any(_inside(network, other) for other in refused)


def _block(network: Network, refused: Sequence[Network]) -> dict[str, Any]:
    inside = sorted({str(other) for other in refused if _inside(other, network)})
    return {"cidr": str(network), **({"except": inside} if inside else {})}
