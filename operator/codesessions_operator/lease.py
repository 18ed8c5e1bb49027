"""Leadership by a Lease: one operator works, the others wait (Kubernetes: leases, leader election)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from codesessions_crds.names import OPERATOR_MANAGER, random_text
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ConflictError, KubeError, NotFoundError
from codesessions_kube.kinds import LEASE

DURATION_SECONDS = 15
RENEW_SECONDS = 5.0
RETRY_SECONDS = 2.0
RELEASE_SECONDS = 2.0
DEADLINE_SECONDS = 10.0
"""Without a renewal for this long a leader stops, well before another may take over."""
NAME = "codesessions-operator"

_log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Somebody else leads, or may: stop working at once."""


class Leader:
    """This process's claim to lead."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client, self._namespace = client, namespace
        self._clock, self._sleep = clock, sleep
        self.identity = f"{os.environ.get('HOSTNAME') or socket.gethostname()}_{random_text(6)}"
        self._seen: tuple[object, float] = (None, 0.0)

    async def acquire(self) -> None:
        """Wait until this process leads."""
        waiting = False
        while True:
            try:
                holder = await self._try()
            except KubeError as error:
                _log.warning("the lease cannot be read or written: %s", error.message)
            else:
                if holder == self.identity:
                    _log.info("%s leads", self.identity)
                    return
                if not waiting:
                    _log.info("%s waits: %s leads", self.identity, holder)
                waiting = True
            await self._sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        """Renew for ever. Raises LeadershipLostError if another leads, or may do so soon."""
        renewed, pause = self._clock(), RENEW_SECONDS
        while True:
            left = renewed + DEADLINE_SECONDS - self._clock()
            if left <= 0:
                raise LeadershipLostError("the lease could not be renewed in time")
            await self._sleep(min(pause, left))
            begun, pause = self._clock(), RETRY_SECONDS
            try:
                async with asyncio.timeout(max(0.1, renewed + DEADLINE_SECONDS - begun)):
                    holder = await self._try()
            except (KubeError, TimeoutError) as error:
                _log.warning("the lease was not renewed: %r", error)
                continue
            if holder == self.identity:
                renewed, pause = begun, RENEW_SECONDS
            elif holder:
                raise LeadershipLostError(f"{holder} holds the lease")

    async def release(self) -> None:
        """Let go, so that the next one need not wait for the lease to expire."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                lease = await self._client.get(LEASE, self._namespace, NAME)
                if lease["spec"].get("holderIdentity") == self.identity:
                    lease["spec"]["holderIdentity"] = ""
                    await self._client.replace(LEASE, self._namespace, NAME, lease, manager=OPERATOR_MANAGER)
        except (KubeError, TimeoutError) as error:
            _log.info("the lease was not released: %r", error)

    async def _try(self) -> str:
        """Take or renew the lease; returns who holds it then, or an empty text if it changed meanwhile."""
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            lease = await self._client.get(LEASE, self._namespace, NAME)
        except NotFoundError:
            body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": {"name": NAME}}
            return await self._write({**body, "spec": self._spec(moment, moment, 0)}, fresh=True)
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        if holder and holder != self.identity and not self._is_expired(spec):
            return holder
        mine = holder == self.identity
        acquired = spec.get("acquireTime") if mine else moment
        transitions = int(spec.get("leaseTransitions") or 0) + (0 if mine else 1)
        lease["spec"] = self._spec(acquired or moment, moment, transitions)
        return await self._write(lease, fresh=False)

    def _is_expired(self, spec: dict[str, Any]) -> bool:
        """By this process's own clock: the lease has not changed for its whole duration."""
        mark = (spec.get("holderIdentity"), spec.get("renewTime"))
        if self._seen[0] != mark:
            self._seen = (mark, self._clock())
        return self._clock() - self._seen[1] > float(spec.get("leaseDurationSeconds") or DURATION_SECONDS)

    def _spec(self, acquired: str, renewed: str, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": acquired,
            "renewTime": renewed,
            "leaseTransitions": transitions,
        }

    async def _write(self, lease: dict[str, Any], *, fresh: bool) -> str:
        try:
            if fresh:
                await self._client.create(LEASE, self._namespace, lease, manager=OPERATOR_MANAGER)
            else:
                await self._client.replace(LEASE, self._namespace, NAME, lease, manager=OPERATOR_MANAGER)
        except ConflictError:
            return ""
        return self.identity
