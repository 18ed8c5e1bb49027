"""Sees to it that a namespace with sessions has its NetworkPolicies, also where somebody took them away."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from codesessions_crds.names import OPERATOR_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ForbiddenError, InvalidError, KubeError, NotFoundError
from codesessions_kube.kinds import ENDPOINT_SLICE, NETWORK_POLICY

from codesessions_operator.desired.policy import policies
from codesessions_operator.errors import WaitingError
from codesessions_operator.settings import Settings

EVERY_SECONDS = 300.0
"""They are written again after so long."""
Bodies = Callable[[str, Settings, Sequence[str]], list[dict[str, Any]]]
"""From namespace, settings and addresses of the API server to policies."""
_log = logging.getLogger(__name__)


class NetworkPolicies:
    """Remembers which namespaces have theirs."""

    def __init__(self, client: KubeClient, settings: Settings, bodies: Bodies | None = None) -> None:
        self._client, self._settings = client, settings
        self._bodies = bodies or policies
        self._done: dict[str, float] = {}

    async def ensure(self, namespace: str) -> None:
        """Apply the policies before a pod is made. Raises WaitingError if one is refused."""
        if time.monotonic() - self._done.get(namespace, float("-inf")) < EVERY_SECONDS:
            return
        try:
            for body in self._bodies(namespace, self._settings, await self._apiserver()):
                await self._client.apply(NETWORK_POLICY, namespace, body, manager=OPERATOR_MANAGER)
        except (ForbiddenError, InvalidError, NotFoundError) as error:
            message = f"A NetworkPolicy of this namespace cannot be made: {error.message}"
            raise WaitingError("NetworkPolicyRefused", message) from error
        self._done[namespace] = time.monotonic()

    async def _apiserver(self) -> list[str]:
        """Addresses of the Kubernetes API server: its Service's and its endpoints'."""
        found = {host} if (host := os.environ.get("KUBERNETES_SERVICE_HOST")) and host[0].isdigit() else set()
        try:
            endpoints = await self._client.get(ENDPOINT_SLICE, "default", "kubernetes")
        except KubeError as error:
            _log.warning("the API server's endpoints cannot be read: %s", error.message)
        else:
            for endpoint in endpoints.get("endpoints") or []:
                found.update(endpoint.get("addresses") or [])
        return sorted(found)
