"""The API program beside a Kubernetes API server, or an etcd, that does not answer: reads say how old they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
from codesessions_crds.credentials import new_api_key
from codesessions_dev.shell import wait_until
from support.controlplane import ControlPlane, free_port
from support.faults import FULL, scaled
from support.programs import start

from .conftest import NAMESPACE, Release

ORGANIZATION = "demo"
API_VERSION = "codesessions.dev/v1alpha1"
SESSIONS = "/api/v1/code-sessions"
SECONDS = scaled(0, 60)
"""Besides what it takes until everything was seen: some 15 s."""
Ask = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    """With the chart and an organisation."""
    Release(control_plane).install(organizations=[{"name": ORGANIZATION}])
    control_plane.kubectl()("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
    return control_plane


@pytest.fixture(scope="module")
def ask(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """A function that asks the API something, with a key and with session `cs_here` in its memory."""
    key, port = new_api_key(), free_port()
    kubectl = plane.kubectl(ORGANIZATION)
    scopes = ["code-sessions:read", "code-sessions:write"]
    spec = {"hash": key.hash, "scopes": scopes, "userId": "user_1"}
    name = {"name": f"csk-{key.id}"}
    kubectl.apply({"apiVersion": API_VERSION, "kind": "APIKey", "metadata": name, "spec": spec})
    here = {"projectName": "here"}
    kubectl.apply({"apiVersion": API_VERSION, "kind": "CodeSession", "metadata": {"name": "cs-here"}, "spec": here})
    process = start(plane, NAMESPACE, "api", tmp_path_factory.mktemp("api"), port=port)

    def asked(method: str, path: str, body: object = None) -> tuple[int, dict[str, str], str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            headers = {"X-API-Key": key.text, "Content-Type": "application/json"}
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            answer = connection.getresponse()
            found = {header.lower(): value for header, value in answer.getheaders()}
            return answer.status, found, answer.read().decode()
        except ConnectionRefusedError:
            return 0, {}, ""
        finally:
            connection.close()

    try:
        known = lambda: asked("GET", f"{SESSIONS}/cs_here")[0] == 200  # noqa: E731
        wait_until("the API does not know the session", known, seconds=120)
        yield asked
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", ["apiserver", "etcd"] if FULL else ["apiserver"])
def test_reads_say_how_old_they_are_and_writes_when_to_try_again(plane: ControlPlane, ask: Ask, part: str) -> None:
    age = lambda: int(ask("GET", SESSIONS)[1].get("age", "0"))  # noqa: E731
    wait_until("answers are not fresh", lambda: age() == 0, seconds=120)
    body = {"projectName": "not now", "projectDescription": f"{part} is away"}
    with ThreadPoolExecutor(1) as beside, plane.silent(part):
        begun = time.monotonic()
        creating = beside.submit(ask, "POST", SESSIONS, body)
        wait_until("no answer says its age", lambda: age() > 0, seconds=120)
        noticed = time.monotonic() - begun
        wait_until("it is not over yet", lambda: time.monotonic() - begun >= SECONDS, seconds=SECONDS + 60)
        for path in (SESSIONS, f"{SESSIONS}/cs_here", "/api/v1/apps"):
            status, headers, text = ask("GET", path)
            assert status == 200, text
            wanted = f"codesessions; hit; ttl=-{headers['age']}; detail=kubernetes-unavailable"
            assert headers["cache-status"] == wanted
        assert ask("GET", "/readyz")[0] == 200
        status, headers, text = creating.result(120)
        assert (status, json.loads(text)["code"]) == (503, "kubernetes_unavailable"), text
        assert int(headers["retry-after"]) > 0
    begun = time.monotonic()
    wait_until("answers are not fresh again", lambda: age() == 0, seconds=120)
    print(f"{part}: noticed after {noticed:.1f} s, fresh {time.monotonic() - begun:.1f} s after it was back")
    again = lambda: ask("POST", SESSIONS, body)[0] == 201  # noqa: E731
    wait_until("sessions are not made again", again, seconds=120)
