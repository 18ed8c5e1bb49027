"""Input -> output seen, through the ingress, with a long poll held open; one connection each way, as a client would."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from queue import Queue
from urllib.parse import urlsplit

from bench.figures import summary
from codesessions_dev import envfile
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from support.kubectl import Kubectl
from support.session import Sessions

ROUNDS = 200


class Connection:
    """One kept-alive HTTPS connection."""

    def __init__(self, access: Access) -> None:
        host = urlsplit(access.url)
        tls = ssl.create_default_context(cafile=str(access.ca))
        self._http = http.client.HTTPSConnection(host.hostname or "", host.port, context=tls, timeout=90)
        self._headers = {"X-API-Key": access.api_key}

    def call(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, object]:
        data = None if body is None else json.dumps(body)
        extra = {"Content-Type": "application/json"} if data else {}
        self._http.request(method, path, data, {**self._headers, **extra, **headers})
        answer: dict[str, object] = json.loads(self._http.getresponse().read())
        return answer


def main() -> None:
    """Print the figures."""
    access = envfile.read()
    if access is None:
        raise SystemExit("run `make install` first")
    sessions = Sessions(Client(access), Kubectl(access.kubeconfig, "demo"))
    try:
        session = sessions.create("latency")
        session.run("echo warm")
        reader, writer = Connection(access), Connection(access)
        seen: Queue[float] = Queue()
        state = {"after": session.seen, "stop": False}

        def poll() -> None:
            while not state["stop"]:
                page = reader.call("GET", f"{session.path}/output?afterSeq={state['after']}", Prefer="wait=10")
                chunks = page.get("chunks")
                if isinstance(chunks, list) and chunks:
                    seen.put(time.monotonic())
                    state["after"] = chunks[-1]["seq"]

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        times = []
        for number in range(ROUNDS):
            while not seen.empty():
                seen.get()
            begun = time.monotonic()
            writer.call("POST", f"{session.path}/input", {"text": f"{number % 10}"})
            times.append(seen.get(timeout=10) - begun)
            time.sleep(0.02)
        state["stop"] = True
        print(summary("input -> output through the ingress, long poll", times) + " (target: p50 at most 10 ms)")
    finally:
        sessions.remove()


if __name__ == "__main__":
    main()
