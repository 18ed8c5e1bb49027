"""The REST contract through the ingress: every field, every refusal, every kind of key."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from codesessions_dev.shell import run
from support.kubectl import Kubectl
from support.session import Sessions, until

CLI = Path(sys.prefix) / "bin" / "codesessions"
MakeClient = Callable[..., Client]


@pytest.fixture
def client_with(access: Access, kubectl: Kubectl) -> Iterator[MakeClient]:
    """Clients with keys made for the test by the command line."""
    made: list[tuple[str, str]] = []

    def make(*words: str, org: str = "demo") -> Client:
        argv = [CLI, "keys", "create", "--org", org, "--user", "tester", "-o", "json", *words]
        answer = json.loads(run(argv, env={**os.environ, "KUBECONFIG": str(access.kubeconfig)}).stdout)
        made.append((org, answer["name"]))
        found = Client(replace(access, api_key=answer["key"]))
        until("the key works", lambda: found.call("GET", BASE)[0] != 401)
        return found

    yield make
    for org, name in made:
        kubectl("--namespace", org, "delete", "apikey", name, "--ignore-not-found")


def test_create_and_read_have_every_field(client: Client, sessions: Sessions) -> None:
    body = {"projectName": "Prüfung 🧪", "projectDescription": 'with "quotes" and\nlines'}
    status, created = client.call("POST", BASE, body)
    assert status == 201
    session = sessions.adopt(created["sessionId"])
    assert created == {"sessionId": session.id, "workspaceId": session.id.replace("cs_", "ws_"), "status": "creating"}
    found = session.get()
    assert {**body, "id": session.id, "organizationId": "org_demo", "userId": "user_demo"}.items() <= found.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["createdAt"])
    status, _ = client.call("POST", f"{session.path}/input", {"text": "x"})
    assert status in {200, 409}
    assert session.until_phase("running")["ptyEndpoint"].startswith("https://")
    assert client.call("POST", f"{session.path}/input", {"text": "é\n"}) == (200, {"sent": True, "bytes": 3})


def test_listing_pages_through_all_sessions_newest_first(client: Client, sessions: Sessions) -> None:
    made = [sessions.create(f"page {number}", wait=False).id for number in range(3)]
    seen, cursor = [], ""
    while True:
        page = client.must("GET", f"{BASE}?limit=1{cursor}")
        seen += [item["id"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert set(made) <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", BASE, {"projectName": "x"}, 422, "invalid_body"),
        ("POST", BASE, {"projectName": "", "projectDescription": ""}, 422, "invalid_body"),
        ("POST", BASE, {"projectName": "x" * 129, "projectDescription": ""}, 422, "invalid_body"),
        ("POST", BASE, {"projectName": "x", "projectDescription": "", "extra": 1}, 422, "unknown_field"),
        ("POST", BASE, ["x"], 422, "invalid_body"),
        ("GET", f"{BASE}/cs_nosuchsession", None, 404, "session_not_found"),
        ("GET", f"{BASE}/CS_X", None, 404, "session_not_found"),
        ("GET", f"{BASE}?limit=0", None, 422, "invalid_parameter"),
        ("GET", f"{BASE}?status=nope", None, 422, "invalid_parameter"),
        ("GET", f"{BASE}?cursor=zzz", None, 422, "invalid_parameter"),
        ("PUT", BASE, {}, 405, "method_not_allowed"),
        ("GET", "/api/v1/nothing", None, 404, "not_found"),
        ("DELETE", f"{BASE}/cs_nosuchsession", None, 404, "session_not_found"),
    ],
)
def test_bad_requests_are_problems(client: Client, method: str, path: str, body: Any, status: int, code: str) -> None:
    answer, problem = client.call(method, path, body)
    assert (answer, problem["code"], problem["status"]) == (status, code, status)
    assert problem["requestId"]


def test_keys_open_only_what_their_scopes_say(client_with: MakeClient, sessions: Sessions) -> None:
    session = sessions.create("scopes", wait=False)
    reader, writer = client_with("--scopes", "code-sessions:read"), client_with("--scopes", "code-sessions:write")
    assert reader.call("GET", session.path)[0] == 200
    assert reader.call("DELETE", session.path)[1]["code"] == "missing_scope"
    assert writer.call("GET", session.path)[1]["code"] == "missing_scope"
    assert writer.call("DELETE", session.path)[0] == 204


def test_a_revoked_or_expired_key_opens_nothing(access: Access, client_with: MakeClient, kubectl: Kubectl) -> None:
    before = {item["metadata"]["name"] for item in kubectl.list("apikeys")}
    client = client_with()
    (name,) = {item["metadata"]["name"] for item in kubectl.list("apikeys")} - before
    run([CLI, "keys", "revoke", name, "--org", "demo"], env={**os.environ, "KUBECONFIG": str(access.kubeconfig)})
    until("the key is refused", lambda: client.call("GET", BASE)[0] == 401)
    assert Client(replace(access, api_key="")).call("GET", BASE)[1]["code"] == "missing_api_key"
    assert Client(replace(access, api_key="csk_x")).call("GET", BASE)[1]["code"] == "invalid_api_key"


def test_another_organisation_sees_nothing(
    access: Access, client_with: MakeClient, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create("private", wait=False)
    until("the namespace of the last run is gone", lambda: kubectl.get("namespace", "e2e-other") is None)
    run([CLI, "org", "create", "e2e-other"], env={**os.environ, "KUBECONFIG": str(access.kubeconfig)})
    try:
        other = client_with(org="e2e-other")
        until("the organisation is known", lambda: other.call("GET", BASE)[0] == 200)
        for method, path, body in (
            ("GET", session.path, None),
            ("GET", f"{session.path}/output", None),
            ("POST", f"{session.path}/input", {"text": "x"}),
            ("DELETE", session.path, None),
        ):
            assert other.call(method, path, body)[0] == 404
        assert other.must("GET", BASE)["items"] == []
    finally:
        kubectl("delete", "namespace", "e2e-other", "--wait=false")
