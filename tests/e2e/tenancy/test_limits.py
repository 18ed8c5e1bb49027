"""What organisations and keys may have, and calls that are made twice: two replicas of the API on an API server.

Quotas are the API server's own; what the controller manager does, to count once what is there, is done by hand.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from codesessions_crds.generate import FOLDERS
from codesessions_dev.shell import run
from support.controlplane import ControlPlane, free_port
from support.kubectl import Kubectl
from support.session import until

PROGRAM = Path(sys.prefix) / "bin" / "codesessions"
ORG = "acme"
BASE = "/api/v1/code-sessions"
BODY = {"projectName": "tenancy", "projectDescription": "made by a test"}
COUNT = "count/codesessions.codesessions.dev"


class Tenant:
    """The organisation: its command line, kubectl in its namespace, and the ports of two replicas of the API."""

    def __init__(self, plane: ControlPlane, ports: tuple[int, int]) -> None:
        self.kubectl, self.ports = Kubectl(plane.kubeconfig, ORG), ports
        self._environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run([PROGRAM, *words], env=self._environment, check=False)

    def limit(self, *words: str) -> None:
        """`org create` with limits, and the first count of what is used."""
        made = self.command("org", "create", ORG, *words)
        assert made.returncode == 0, made.stderr
        self.count("codesessions")

    def count(self, quota: str) -> None:
        resource = self.kubectl.get("resourcequota", quota)
        assert resource is not None
        hard = resource["spec"]["hard"]
        number = len(self.kubectl.list("codesessions"))
        used = {name: str(number) if name == COUNT else "0" for name in hard}
        patch = json.dumps({"status": {"hard": hard, "used": used}})
        self.kubectl("patch", "resourcequota", quota, "--subresource=status", "--type=merge", "-p", patch)

    def key(self, *more: str) -> str:
        """A new key, once both replicas know it; `more` is for `keys create`."""
        made = self.command("keys", "create", "--org", ORG, "--user", "alice", "-o", "json", *more)
        assert made.returncode == 0, made.stderr
        key = str(json.loads(made.stdout)["key"])
        for port in self.ports:  # by a call that counts as a write, so that tests have all their reads and creates
            until("the key works", lambda port=port: call(port, key, "DELETE", f"{BASE}/none")[0] == 404, seconds=120)
        return key


def call(
    port: int, key: str, method: str = "GET", path: str = BASE, body: object = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """One request: status, headers in lower case and JSON; status 0 while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    sent = {"X-API-Key": key, **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, sent)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        text = response.read()
        is_json = "json" in found.get("content-type", "")
        return response.status, found, json.loads(text) if is_json else None
    except OSError:
        return 0, {}, None
    finally:
        connection.close()


@contextlib.contextmanager
def api(plane: ControlPlane, port: int) -> Iterator[None]:
    """A replica of the API."""
    settings = {
        "KUBECONFIG": str(plane.kubeconfig),
        "CODESESSIONS_LISTEN": f"127.0.0.1:{port}",
        "CODESESSIONS_MASTER_KEY_FILE": str(plane.folder / "master-key"),
    }
    with (plane.folder / f"api-{port}.log").open("wb") as log:
        words = [sys.executable, "-m", "codesessions_api"]
        process = subprocess.Popen(words, env={**os.environ, **settings}, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    plane, ports = ControlPlane(tmp_path_factory.mktemp("tenancy")), (free_port(), free_port())
    (plane.folder / "master-key").write_bytes(b"k" * 32)
    try:
        plane.start()
        kubectl = plane.kubectl()
        kubectl("apply", "-f", str(FOLDERS[0]))
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=240s")
        found = Tenant(plane, ports)
        assert found.command("org", "create", ORG).returncode == 0
        with api(plane, ports[0]), api(plane, ports[1]):
            for port in ports:
                until("the API answers", lambda port=port: call(port, "", path="/readyz")[0] == 200)
            yield found
    finally:
        plane.stop()


@pytest.fixture(autouse=True)
def _nothing_is_left(tenant: Tenant) -> Iterator[None]:
    yield
    tenant.kubectl("delete", "codesessions,resourcequotas", "--all", "--wait=true", "--timeout=240s")


def test_calls_with_one_key_at_two_replicas_are_one_session(tenant: Tenant) -> None:
    key, once = tenant.key(), str(uuid4())
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(call, tenant.ports[number % 2], key, "POST", BASE, BODY, Idempotency_Key=once)
            for number in range(16)
        ]
        answers = [each.result() for each in calls]
    assert {status for status, _, _ in answers} == {201}, answers
    (identity,) = {answer["sessionId"] for _, _, answer in answers}
    assert sum("idempotency-replayed" not in headers for _, headers, _ in answers) == 1
    assert len(tenant.kubectl.list("codesessions")) == 1
    other = {**BODY, "projectName": "another"}
    status, _, problem = call(tenant.ports[0], key, "POST", BASE, other, Idempotency_Key=once)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    assert call(tenant.ports[1], key, "DELETE", f"{BASE}/{identity}")[0] == 204
    status, _, again = call(tenant.ports[0], key, "POST", BASE, BODY, Idempotency_Key=once)
    assert (status, again["sessionId"], again["status"]) == (201, identity, "completed")


def test_a_quota_is_told_by_the_api_and_the_command_line(tenant: Tenant) -> None:
    tenant.limit("--max-sessions", "2", "--max-apps", "1", "--cpu", "8")
    key, once, port = tenant.key(), str(uuid4()), tenant.ports[0]
    first = call(port, key, "POST", BASE, BODY, Idempotency_Key=once)
    assert first[0] == 201, first
    assert call(port, key, "POST", BASE, BODY)[0] == 201
    status, headers, problem = call(port, key, "POST", BASE, BODY)
    assert (status, problem["code"]) == (403, "quota_exceeded")
    assert "retry-after" not in headers
    (limit,) = problem["limits"]
    assert limit == {"quota": "codesessions", "resource": COUNT, "requested": "1", "used": "2", "hard": "2"}
    assert "sessions: 2 of 2" in problem["detail"]
    again = call(port, key, "POST", BASE, BODY, Idempotency_Key=once)  # it has its place
    assert again[2]["sessionId"] == first[2]["sessionId"]
    shown = json.loads(tenant.command("org", "list", "-o", "json").stdout)
    (quota,) = [each["quota"] for each in shown if each["namespace"] == ORG]
    assert quota == {
        "sessions": {"used": "2", "hard": "2"},
        "apps": {"used": "0", "hard": "1"},
        "cpu": {"used": "0", "hard": "8"},
    }
    (line,) = [each for each in tenant.command("org", "list").stdout.splitlines() if each.startswith(f"{ORG} ")]
    assert line.split()[2:] == ["2/2", "0/1", "0/8", "-", "-"]
    limits = tenant.kubectl.get("limitrange", "codesessions")
    assert limits is not None
    assert limits["spec"]["limits"][0]["defaultRequest"] == {"cpu": "25m", "memory": "64Mi"}
    tenant.limit("--max-sessions", "3")
    assert call(port, key, "POST", BASE, BODY)[0] == 201


def test_a_quota_written_by_kubectl_is_as_good(tenant: Tenant) -> None:
    key, port = tenant.key(), tenant.ports[0]
    metadata = {"name": "of-the-platform", "namespace": ORG}
    tenant.kubectl.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {COUNT: "0"}}}
    )
    tenant.count("of-the-platform")

    def refused() -> Any:
        """The API server hears of a quota by a watch of its own."""
        status, _, problem = call(port, key, "POST", BASE, BODY)
        return None if status == 201 else problem

    problem = until("the quota holds", refused)
    assert problem["code"] == "quota_exceeded"
    assert [each["quota"] for each in problem["limits"]] == ["of-the-platform"]


def test_a_key_that_calls_too_often_is_told_when_to_come_again(tenant: Tenant) -> None:
    key, other, port = tenant.key("--rate-limit", "reads=3/3600s"), tenant.key(), tenant.ports[0]
    answers = [call(port, key) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    assert answers[0][1]["ratelimit-policy"] == '"reads";q=3;w=3600'
    assert answers[0][1]["ratelimit"].startswith('"reads";r=2;')
    _, headers, problem = answers[-1]
    assert problem["code"] == "rate_limited"
    assert 1100 < int(headers["retry-after"]) <= 1200
    assert call(port, other)[0] == 200
    assert call(tenant.ports[1], key)[0] == 200  # each replica counts for itself
    assert call(port, key, "DELETE", f"{BASE}/none")[0] == 404


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("org", "create", ORG, "--cpu", "lots"), 2, "--cpu"),
        (("org", "create", ORG, "--max-sessions", "-3"), 2, "--max-sessions"),
        (("keys", "create", "--org", ORG, "--user", "u", "--rate-limit", "reads"), 2, "reads=100/10s"),
        (("keys", "create", "--org", "nosuch", "--user", "u"), 1, "codesessions org create"),
    ],
)
def test_exit_codes_are_as_documented(tenant: Tenant, words: tuple[str, ...], code: int, said: str) -> None:
    done = tenant.command(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
