"""A session of the development cluster as a terminal to measure: ingress, gateway, sidecar."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from bench.peers import Terminal
from codesessions_dev import envfile
from codesessions_dev.client import Client
from support.kubectl import Kubectl
from support.session import Sessions

Start = Callable[[str], AbstractContextManager[Terminal]]


@contextlib.contextmanager
def ingress() -> Iterator[Start | None]:
    """Starts scripts in sessions of their own; None if there is no cluster (`make install`)."""
    access = envfile.read()
    if access is None or not access.kubeconfig.exists():
        yield None
        return
    tls = ssl.create_default_context(cafile=str(access.ca))
    sessions = Sessions(Client(access), Kubectl(access.kubeconfig, "demo"))

    @contextlib.contextmanager
    def start(script: str) -> Iterator[Terminal]:
        session = sessions.create("bench")
        session.run("true")
        quoted = script.replace("'", "'\\''")
        endpoint = session.get()["ptyEndpoint"].replace("https:", "wss:", 1)
        session.type(f"exec /bin/sh -c '{quoted}'\n")
        yield Terminal(f"{endpoint}?afterSeq={session.seen}", headers={"X-API-Key": access.api_key}, tls=tls)

    try:
        yield start
    finally:
        sessions.remove()
