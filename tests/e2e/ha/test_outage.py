"""The Kubernetes API server, or etcd, does not answer: sessions go on, reads say how old they are, writes say 503."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.message import Message

import pytest
from codesessions_dev.client import BASE
from codesessions_dev.envfile import Access
from codesessions_dev.layout import Layout, Ports
from codesessions_dev.local.process import Supervisor
from support.faults import FULL, scaled, stopped
from support.kubectl import Kubectl
from support.session import Sessions, until

SECONDS = scaled(0, 60)
"""Besides what it takes until everything was seen: some 15 s."""
BODY = {"projectName": "not now", "projectDescription": "while the cluster is away"}


def call(access: Access, method: str, path: str, body: object = None) -> tuple[int, Message, str]:
    """One request: status, headers and body."""
    headers = {"X-API-Key": access.api_key, "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(access.url + path, data=data, headers=headers, method=method)  # noqa: S310 - https
    tls = ssl.create_default_context(cafile=str(access.ca))
    try:
        with urllib.request.urlopen(request, context=tls, timeout=120) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def restarts(system: Kubectl) -> dict[str, int]:
    """Of the containers of API and gateway, by pod."""
    pods = system.list("pods", "-l=app.kubernetes.io/name=codesessions,app.kubernetes.io/component in (api,gateway)")
    return {
        pod["metadata"]["name"]: each["restartCount"] for pod in pods for each in pod["status"]["containerStatuses"]
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"] if FULL else ["kube-apiserver"])
def test_the_cluster_does_not_answer(part: str, access: Access, system: Kubectl, sessions: Sessions) -> None:
    pid = Supervisor(Layout(ports=Ports.from_environment())).pid(part)
    if pid is None:
        pytest.skip("the development cluster is not made of this machine's processes")
    session = sessions.create("outage")
    session.run("echo be''fore")
    before = restarts(system)
    until("answers are fresh", lambda: call(access, "GET", session.path)[1]["Age"] is None)

    with ThreadPoolExecutor(1) as beside, stopped(pid):
        begun = time.monotonic()
        creating = beside.submit(call, access, "POST", BASE, BODY)
        while True:
            assert session.run("echo me''anwhile") == "meanwhile"
            status, headers, text = call(access, "GET", session.path)
            assert (status, json.loads(text)["status"]) == (200, "running")
            assert time.monotonic() - begun < SECONDS + 120
            if creating.done() and headers["Age"] and time.monotonic() - begun > SECONDS:
                break
        assert headers["Cache-Status"] == f"codesessions; hit; ttl=-{headers['Age']}; detail=kubernetes-unavailable"
        assert call(access, "GET", BASE)[1]["Age"]
        status, headers, text = creating.result()
        assert (status, json.loads(text)["code"]) == (503, "kubernetes_unavailable"), text
        assert int(headers["Retry-After"]) > 0
        assert call(access, "GET", "/readyz")[0] == 200
        print(f"{part} away for {time.monotonic() - begun:.0f} s")

    begun = time.monotonic()
    until("answers are fresh", lambda: call(access, "GET", session.path)[1]["Age"] is None, seconds=120, every=0.5)
    print(f"answers are fresh {time.monotonic() - begun:.1f} s later")

    def works() -> bool:
        status, _, text = call(access, "POST", BASE, BODY)
        if status != 201:
            return False
        sessions.adopt(json.loads(text)["sessionId"]).until_phase("running", seconds=120)
        return True

    until("sessions are made again", works, seconds=180, every=1)
    print(f"a new session ran {time.monotonic() - begun:.1f} s later")
    assert session.run("echo af''ter") == "after"
    assert session.resource()["status"].get("restarts", 0) == 0
    assert restarts(system).items() <= before.items()  # some of before may have been on their way out
