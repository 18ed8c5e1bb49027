"""Leadership by a Lease: one operator works, the others wait (Kubernetes: leases, leader election)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from datetime import UTC, datetime
from typing import Any

from codesessions_crds.names import OPERATOR_MANAGER, random_text
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ConflictError, KubeError, NotFoundError
from codesessions_kube.kinds import LEASE

DURATION_SECONDS = 15
RENEW_SECONDS = 5.0
RETRY_SECONDS = 2.0
NAME = "codesessions-operator"

_log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Somebody else leads, or may: stop working at once."""


class Leader:
    """This process's claim to lead."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self.identity = f"{os.environ.get('HOSTNAME') or socket.gethostname()}_{random_text(6)}"
        self._seen: tuple[object, float] = (None, 0.0)

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while True:
            try:
                if await self._try():
                    _log.info("%s leads", self.identity)
                    return
            except KubeError as error:
                _log.warning("the lease cannot be read or written: %s", error.message)
            await asyncio.sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        """Renew for ever. Raises LeadershipLostError when that fails until another may lead."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    if not await self._try():
                        raise LeadershipLostError("another operator holds the lease")
                renewed = time.monotonic()
            except (KubeError, TimeoutError) as error:
                _log.warning("the lease was not renewed: %s", error)
                if time.monotonic() - renewed > DURATION_SECONDS - RENEW_SECONDS:
                    raise LeadershipLostError("the lease could not be renewed in time") from error

    async def release(self) -> None:
        """Let go, so that the next one need not wait for the lease to expire."""
        try:
            lease = await self._client.get(LEASE, self._namespace, NAME)
            if lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"]["holderIdentity"] = ""
                await self._client.replace(LEASE, self._namespace, NAME, lease, manager=OPERATOR_MANAGER)
        except KubeError as error:
            _log.info("the lease was not released: %s", error.message)

    async def _try(self) -> bool:
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            lease = await self._client.get(LEASE, self._namespace, NAME)
        except NotFoundError:
            body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"name": NAME}}
            return await self._write({**body, "spec": self._spec(moment, moment, 0)}, fresh=True)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        if holder and holder != self.identity and not self._is_expired(spec):
            return False
        mine = holder == self.identity
        acquired = spec.get("acquireTime") if mine else moment
        transitions = int(spec.get("leaseTransitions") or 0) + (0 if mine else 1)
        lease["spec"] = self._spec(acquired or moment, moment, transitions)
        return await self._write(lease, fresh=False)

    def _is_expired(self, spec: dict[str, Any]) -> bool:
        """By this process's own clock: the lease has not changed for its whole duration."""
        mark = (spec.get("holderIdentity"), spec.get("renewTime"))
        if self._seen[0] != mark:
            self._seen = (mark, time.monotonic())
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

    def _spec(self, acquired: str, renewed: str, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        }

    async def _write(self, lease: dict[str, Any], *, fresh: bool) -> bool:
        try:
            if fresh:
                await self._client.create(LEASE, self._namespace, lease, manager=OPERATOR_MANAGER)
            else:
                await self._client.replace(LEASE, self._namespace, NAME, lease, manager=OPERATOR_MANAGER)
        except ConflictError:
            return False
        return True
