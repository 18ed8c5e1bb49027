"""The last lines of applications that end with exit code 0, as if all were well, and of those that never get ready.

Of other ends the kubelet reports them itself (Kubernetes: terminationMessagePolicy FallbackToLogsOnError).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codesessions_kube.client import KubeClient
from codesessions_kube.errors import KubeError

from codesessions_operator.apps.facts import container_of
from codesessions_operator.apps.objects import CONTAINER

Object = dict[str, Any]
LINES, BYTES = 20, 2048
_MOST = 1000


def ended_well(pod: Object) -> Object | None:
    """The end of a container that is not ready and whose last exit code was 0; None if there is none."""
    container = container_of(pod)
    states = (container.get("state") or {}, container.get("lastState") or {})
    ended: Object | None = next((each["terminated"] for each in states if each.get("terminated")), None)
    quiet = ended is not None and ended.get("exitCode") == 0 and not ended.get("message")
    return ended if quiet and not container.get("ready") else None


class LastWords:
    """Reads each end's lines once."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: dict[tuple[str, int], str] = {}
        self._waiting: dict[str, str] = {}

    async def complete(self, pods: Sequence[Object]) -> list[Object]:
        """The pods, with what the kubelet does not report in the place where it reports the rest."""
        return [await self._complete(pod) for pod in pods]

    async def of_waiting(self, pods: Sequence[Object]) -> str:
        """What the first pod says whose container runs and is not ready; empty if there is none."""
        for pod in pods:
            container = container_of(pod)
            if container.get("ready") or "running" not in (container.get("state") or {}):
                continue
            uid = pod["metadata"]["uid"]
            if uid not in self._waiting:  # once: what is said of a rollout is not to change with every line
                if len(self._waiting) >= _MOST:
                    self._waiting.clear()
                self._waiting[uid] = (await self._read(pod, previous=False)).strip()
            return self._waiting[uid]
        return ""

    async def _complete(self, pod: Object) -> Object:
        ended = ended_well(pod)
        if ended is None or pod["metadata"].get("deletionTimestamp"):
            return pod
        container = container_of(pod)
        key = (pod["metadata"]["uid"], int(container.get("restartCount") or 0))
        if key not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = await self._read(pod, previous="running" in (container.get("state") or {}))
        place = "state" if (container.get("state") or {}).get("terminated") else "lastState"
        told = {**container, place: {"terminated": {**ended, "message": self._known[key]}}}
        others = [each for each in pod["status"]["containerStatuses"] if each.get("name") != CONTAINER]
        return {**pod, "status": {**pod["status"], "containerStatuses": [*others, told]}}

    async def _read(self, pod: Object, *, previous: bool) -> str:
        metadata, found = pod["metadata"], bytearray()
        try:
            async for block in self._client.log(
                metadata["namespace"], metadata["name"], CONTAINER, previous=previous, lines=LINES
            ):
                found += block
                del found[:-BYTES]
        except KubeError:
            return ""
        return found.decode("utf-8", "replace")
