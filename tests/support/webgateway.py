"""A real gateway on loopback, before a real sidecar, with caches that a test fills; no Kubernetes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesessions_api.caches import Caches
from codesessions_api.gateway.server import Gateway
from codesessions_crds.credentials import new_api_key, workspace_key

from support.kube import MemoryKube
from support.restapi import pods_on_loopback
from support.sidecar import SESSION_ID, SESSION_UID

MASTER = b"m" * 32
NAMESPACE = "demo"
WORKSPACE_KEY = workspace_key(MASTER, NAMESPACE, SESSION_UID)
"""What the sidecar must have, for the gateway's tickets to fit."""
SCOPES = ("code-sessions:read", "code-sessions:write")


class WebGateway:
    """The gateway in a thread of its own, and one session, which is being created at first. A context manager."""

    def __init__(self, web: Path) -> None:
        self._web = web
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._listening = threading.Event()
        self._version = 0
        self.port = 0
        self.key = new_api_key()
        self.reader = new_api_key()

    def __enter__(self) -> WebGateway:
        self._thread.start()
        assert self._listening.wait(60)
        labels = {"codesessions.dev/organization": "org_demo"}
        self._put("namespaces", {"metadata": {"name": NAMESPACE, "uid": "n", "labels": labels}})
        self.set_key()
        self._put_key("csk-reader", self.reader.hash, SCOPES[:1])
        self.set_session("Creating", message="The image is being pulled.")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)

    def set_session(self, phase: str, **status: Any) -> None:
        """Its status, as the operator would have written it."""
        message = status.pop("message", "")
        ready = {"type": "Ready", "status": str(phase == "Running"), "reason": phase, "message": message}
        status = {"phase": phase, "pod": {"ip": "127.0.0.1"}, "conditions": [ready], **status}
        spec = {"projectName": "hello", "state": "Running"}
        metadata = {"name": SESSION_ID.replace("_", "-"), "namespace": NAMESPACE, "uid": SESSION_UID}
        self._put("sessions", {"metadata": metadata, "spec": spec, "status": status})

    def set_key(self, *, disabled: bool = False) -> None:
        """The writing key, good or revoked."""
        self._put_key("csk-writer", self.key.hash, SCOPES, disabled)

    def _put_key(self, name: str, digest: str, scopes: tuple[str, ...], disabled: bool = False) -> None:
        spec = {"hash": digest, "scopes": list(scopes), "userId": "user_1", "disabled": disabled}
        self._put("keys", {"metadata": {"name": name, "namespace": NAMESPACE, "uid": name}, "spec": spec})

    def _put(self, cache: str, item: dict[str, Any]) -> None:
        self._version += 1
        item["metadata"]["resourceVersion"] = str(self._version)
        done = threading.Event()

        def put() -> None:
            getattr(self._caches, cache).put(item)
            done.set()

        self._loop.call_soon_threadsafe(put)
        assert done.wait(60)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        gateways: list[Gateway] = []

        def told(name: str) -> Callable[[tuple[str, str]], None]:
            def tell(key: tuple[str, str]) -> None:
                for each in gateways:
                    getattr(each, name)(key)

            return tell

        self._caches = Caches(MemoryKube(), key_changed=told("key_changed"), session_changed=told("session_changed"))
        for cache in self._caches.all:
            cache.synced.set()
        gateway = Gateway(self._caches, MASTER, web=self._web)
        gateways.append(gateway)
        server = await gateway.serve("127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        with pods_on_loopback():
            self._listening.set()
            await self._stop.wait()
        server.close()
        await gateway.stop(2)
