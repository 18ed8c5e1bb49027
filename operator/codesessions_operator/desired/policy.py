"""The NetworkPolicy of all workspaces of a namespace: nothing in or out but what is named."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from codesessions_crds.names import MANAGED_BY_LABEL, OPERATOR_MANAGER, PTY_PORT

from codesessions_operator.desired.common import WORKSPACE_LABELS
from codesessions_operator.settings import Settings

NAME = "codesessions-workspaces"


def policy(namespace: str, settings: Settings, apiserver: Sequence[str]) -> dict[str, Any]:
    """Ingress: API and gateway, to the sidecar's port. Egress: DNS, and the networks that the settings allow.

    `apiserver` are addresses of the Kubernetes API server, which no workspace may reach.
    """
    components = {"key": "app.kubernetes.io/component", "operator": "In", "values": ["api", "gateway"]}
    source = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "codesessions"}, "matchExpressions": [components]},
    }
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    egress: list[dict[str, Any]] = [{"to": [{"namespaceSelector": {}}], "ports": dns}]
    refused = [ipaddress.ip_network(text) for text in _words(settings.egress_except)]
    refused += [ipaddress.ip_network(address) for address in apiserver]
    blocks = [_block(text, refused) for text in _words(settings.egress)]
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


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _block(text: str, refused: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> dict[str, Any]:
    network = ipaddress.ip_network(text)
    inside = sorted({str(each) for each in refused if each.version == network.version and each.subnet_of(network)})  # type: ignore[arg-type]
    return {"cidr": str(network), **({"except": inside} if inside else {})}
