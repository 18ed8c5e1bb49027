"""Sees to it that a namespace with sessions has its NetworkPolicy, once an hour at most."""

from __future__ import annotations

import logging
import os
import time

from codesessions_crds.names import OPERATOR_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ForbiddenError, InvalidError, KubeError, NotFoundError
from codesessions_kube.kinds import ENDPOINT_SLICE, NETWORK_POLICY

from codesessions_operator.desired.policy import policy
from codesessions_operator.errors import WaitingError
from codesessions_operator.settings import Settings

EVERY_SECONDS = 3600.0
_log = logging.getLogger(__name__)


class NetworkPolicies:
    """Remembers which namespaces have theirs."""

    def __init__(self, client: KubeClient, settings: Settings) -> None:
        self._client, self._settings = client, settings
        self._done: dict[str, float] = {}

    async def ensure(self, namespace: str) -> None:
        """Apply the policy before a workspace is made. Raises WaitingError if it is refused."""
        if time.monotonic() - self._done.get(namespace, float("-inf")) < EVERY_SECONDS:
            return
        body = policy(namespace, self._settings, await self._apiserver())
        try:
            await self._client.apply(NETWORK_POLICY, namespace, body, manager=OPERATOR_MANAGER)
        except (ForbiddenError, InvalidError, NotFoundError) as error:
            message = f"The NetworkPolicy that isolates workspaces cannot be made: {error.message}"
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
