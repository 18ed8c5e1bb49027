"""The NetworkPolicies of applications and builds of a namespace. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from codesessions_crds.names import MANAGED_BY_LABEL, OPERATOR_MANAGER

from codesessions_operator.apps import objects
from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.builds import pod as build
from codesessions_operator.desired.policy import allowed_blocks
from codesessions_operator.networks import networks
from codesessions_operator.settings import Settings

Object = dict[str, Any]
Builder = Callable[[str, Settings, Sequence[str]], list[Object]]

APPS, BUILDS = "codesessions-apps", "codesessions-builds"
_DNS = {
    "to": [{"namespaceSelector": {}}],
    "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
}


def app_policies(apps: AppSettings, registry: tuple[str, int] | None) -> Builder:
    """What makes the policies of a namespace. `registry` is host and port of the registry's URL."""

    def bodies(namespace: str, settings: Settings, apiserver: Sequence[str]) -> list[Object]:
        refused = networks(settings.egress_except) + [ipaddress.ip_network(address) for address in apiserver]
        # Requests come from the ingress controller, which may be anywhere.
        serving = _policy(namespace, APPS, {objects.NAME_LABEL: objects.APPLICATION}, [{}])
        serving["spec"]["egress"] = [_DNS, *_to(apps.apps_egress, refused)]
        building = _policy(namespace, BUILDS, {build.NAME_LABEL: build.APPLICATION}, [])
        building["spec"]["egress"] = [_DNS, *_to(apps.build_egress, refused), *_registry(registry)]
        return [serving, building]

    return bodies


def _policy(namespace: str, name: str, labels: dict[str, str], ingress: list[Object]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED_BY_LABEL: OPERATOR_MANAGER}},
        "spec": {
            "podSelector": {"matchLabels": {**labels, MANAGED_BY_LABEL: OPERATOR_MANAGER}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
        },
    }


def _to(allowed: str, refused: list[Any]) -> list[Object]:
    blocks = allowed_blocks(networks(allowed), refused)
    return [{"to": [{"ipBlock": block} for block in blocks]}] if blocks else []


def _registry(registry: tuple[str, int] | None) -> list[Object]:
    """The registry: by its address if the URL has one, else any pod at its port, as a policy knows no host names."""
    if registry is None:
        return []
    host, port = registry
    ports = [{"protocol": "TCP", "port": port}]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [{"to": [{"namespaceSelector": {}}], "ports": ports}]
    return [{"to": [{"ipBlock": {"cidr": str(ipaddress.ip_network(address))}}], "ports": ports}]
