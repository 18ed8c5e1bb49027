"""kopf, for what it is good at: watching CodeSessions. Its handlers store what they see and queue the key, no more.

Only `on.event` is used: kopf then writes nothing (no finalizer, no annotation, no event) to the resources.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import kopf
from codesessions_crds.names import GROUP, OPERATOR_MANAGER, VERSION
from codesessions_kube.client import PAGE
from codesessions_kube.store import ObjectStore, key_of, version_of
from kopf._core.engines.peering import Identity

WATCH_SECONDS = 300
SILENCE_SECONDS = 75
"""The API server sends a bookmark about every minute; a watch that is silent for longer is dead."""


def registry(sessions: ObjectStore) -> kopf.OperatorRegistry:
    """The handlers."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.startup(registry=found)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.watching.server_timeout = WATCH_SECONDS
        settings.watching.client_timeout = WATCH_SECONDS + SILENCE_SECONDS
        settings.watching.inactivity_timeout = SILENCE_SECONDS
        settings.watching.chunk_size = PAGE
        settings.networking.request_timeout = 30

    @kopf.on.event(GROUP, VERSION, "codesessions", registry=found)
    async def see(event: Any, **_: Any) -> None:
        item = dict(event["object"])
        item["metadata"] = dict(item["metadata"])
        if event["type"] == "DELETED":
            sessions.remove(key_of(item), version_of(item))
        else:
            sessions.put(item)

    return found


async def run(sessions: ObjectStore, ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Watch until `stop` is set."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    await kopf.operator(
        registry=registry(sessions),
        standalone=True,
        clusterwide=True,
        identity=Identity(OPERATOR_MANAGER),  # else kopf asks for a user's name, and a bare uid has none
        ready_flag=ready,
        stop_flag=stop,
    )
