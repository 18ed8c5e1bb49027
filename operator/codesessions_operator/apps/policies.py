"""The NetworkPolicies of applications and builds of a namespace. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Sequence
from typing import Any

from codesessions_crds.names import MANAGED_BY_LABEL, OPERATOR_MANAGER

from codesessions_operator.apps import objects
from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.builds import pod as build
from codesessions_operator.desired.policy import (
    DNS,
    ELSEWHERE,
    allowed_blocks,
    body,
    default_deny,
    reaching,
    refused_networks,
)
from codesessions_operator.networks import PRIVATE, Network
from codesessions_operator.settings import Settings

Object = dict[str, Any]
Builder = Callable[[str, Settings, Sequence[str]], list[Object]]

APPS, BUILDS = "codesessions-apps", "codesessions-builds"


def app_policies(apps: AppSettings, registry: tuple[str, int] | None) -> Builder:
    """What makes the policies of a namespace. `registry` is host and port of the registry's URL."""
    peers = json.loads(apps.apps_ingress_from or "[]")
    # Requests come from the ingress controller, which may be anywhere.
    ingress: Object = {"from": peers} if peers else {}

    def bodies(namespace: str, settings: Settings, apiserver: Sequence[str]) -> list[Object]:
        refused = refused_networks(settings, apiserver)
        serving = body(
            namespace,
            APPS,
            _managed({objects.NAME_LABEL: objects.APPLICATION}),
            ingress=[ingress],
            egress=[DNS, *reaching(apps.apps_egress, settings, apiserver)],
        )
        building = body(
            namespace,
            BUILDS,
            _managed({build.NAME_LABEL: build.APPLICATION}),
            ingress=[],
            egress=[DNS, *reaching(apps.build_egress, settings, apiserver), *_registry(registry, refused)],
        )
        return [serving, building, *default_deny(namespace, settings)]

    return bodies


def _managed(labels: dict[str, str]) -> dict[str, str]:
    return {**labels, MANAGED_BY_LABEL: OPERATOR_MANAGER}


def _registry(registry: tuple[str, int] | None, refused: Sequence[Network]) -> list[Object]:
    """The registry: by its address if the URL has one, else any pod of the platform's and any private address, at its
    port: a policy knows no host names.
    """
    if registry is None:
        return []
    host, port = registry
    ports = [{"protocol": "TCP", "port": port}]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        blocks = [{"ipBlock": block} for block in allowed_blocks(PRIVATE, refused)]
        return [{"to": [ELSEWHERE, *blocks], "ports": ports}]
    return [{"to": [{"ipBlock": {"cidr": str(ipaddress.ip_network(address))}}], "ports": ports}]
