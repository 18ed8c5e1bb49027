"""The calls about sessions, over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from codesessions_kube.errors import ConflictError, ForbiddenError, UnavailableError
from codesessions_kube.kinds import API_KEY, CODE_SESSION
from support.restapi import BASE, ONE, Rest, until

BODY = {"projectName": "Prüfung 🧪", "projectDescription": 'with "quotes"\nand lines'}


def audit_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.fields for record in caplog.records if record.name == "audit"]  # type: ignore[attr-defined]


async def test_create_writes_a_resource_and_answers_before_it_runs(rest: Rest) -> None:
    answer = await rest.call("POST", BASE, BODY)
    assert answer.status == 201
    identity = answer.json["sessionId"]
    assert answer.json == {"sessionId": identity, "workspaceId": f"ws_{identity[3:]}", "status": "creating"}
    assert answer.headers["location"] == f"{BASE}/{identity}"
    (written,) = [each for (kind, _, _), each in rest.kube.objects.items() if kind == "CodeSession"]
    assert written["metadata"]["namespace"] == "demo"
    assert BODY.items() <= written["spec"].items()
    assert written["spec"]["userId"] == "u1"


async def test_what_was_created_can_be_read_at_once(rest: Rest) -> None:
    identity = (await rest.call("POST", BASE, BODY)).json["sessionId"]
    found = (await rest.call("GET", f"{BASE}/{identity}")).json
    assert {**BODY, "id": identity, "organizationId": "org_demo", "userId": "u1", "status": "creating"}.items() <= (
        found.items()
    )
    assert found["ptyEndpoint"] == f"https://pty.test/{identity}"
    assert found["createdAt"] == found["updatedAt"] == "2025-02-01T14:25:01Z"


async def test_create_waits_until_the_session_runs(rest: Rest) -> None:
    waiting = asyncio.create_task(rest.call("POST", BASE, BODY, Prefer="wait=30"))
    await until("it is written", lambda: rest.kube.writes[-1][1] == "CodeSession")
    assert not waiting.done()
    name = rest.kube.writes[-1][2]
    await rest.kube.set_status(name, phase="Running")
    answer = await waiting
    assert (answer.status, answer.json["status"]) == (201, "running")
    assert answer.headers["preference-applied"] == "wait=30"


async def test_create_says_how_far_it_is_when_the_time_is_over(rest: Rest) -> None:
    answer = await rest.call("POST", BASE, BODY, Prefer="respond-async, wait=0")
    assert (answer.status, answer.json["status"]) == (201, "creating")
    assert answer.headers["preference-applied"] == "wait=0"


async def test_a_name_that_is_taken_is_not_the_callers_problem(rest: Rest) -> None:
    rest.kube.will_refuse("create", CODE_SESSION, ConflictError("exists", status=409))
    assert (await rest.call("POST", BASE, BODY)).status == 201


async def test_delete_completes_at_once_and_can_be_repeated(running: Rest) -> None:
    assert (await running.call("DELETE", ONE)).status == 204
    assert (await running.call("GET", ONE)).json["status"] == "completed"
    writes = len(running.kube.writes)
    assert (await running.call("DELETE", ONE)).status == 204
    assert len(running.kube.writes) == writes
    assert running.kube.objects["CodeSession", "demo", "cs-abc123"]["spec"] == {
        "projectName": "p",
        "projectDescription": "d",
        "userId": "u1",
        "state": "Completed",
    }


async def test_a_list_pages_newest_first_and_filters(rest: Rest) -> None:
    for number, phase in enumerate(("Running", "Creating", "Running")):
        await rest.kube.add_session(f"cs-{number}", phase)
    caches = rest.application.context.caches  # type: ignore[union-attr]
    await until("all are known", lambda: len(caches.sessions.items()) == 3)
    first = (await rest.call("GET", f"{BASE}?limit=2")).json
    assert [each["id"] for each in first["items"]] == ["cs_2", "cs_1"]
    second = (await rest.call("GET", f"{BASE}?limit=2&cursor={first['nextCursor']}")).json
    assert [each["id"] for each in second["items"]] == ["cs_0"]
    assert second["nextCursor"] is None
    creating = (await rest.call("GET", f"{BASE}?status=creating&unknown=x")).json
    assert [each["id"] for each in creating["items"]] == ["cs_1"]


async def test_another_organisation_sees_nothing(running: Rest) -> None:
    await running.kube.add_organization("other")
    other = (await running.kube.add_key("other")).text
    caches = running.application.context.caches  # type: ignore[union-attr]
    await until("the key is known", lambda: len(caches.keys.items()) == 2 and caches.organization("other"))
    calls: tuple[tuple[str, str, object], ...] = (
        ("GET", ONE, None),
        ("DELETE", ONE, None),
        ("GET", f"{ONE}/output", None),
        ("POST", f"{ONE}/input", {"text": "x"}),
        ("POST", f"{ONE}/resize", {"rows": 1, "cols": 1}),
        ("POST", f"{ONE}/tickets", None),
    )
    for method, path, body in calls:
        answer = await running.call(method, path, body, key=other)
        assert (answer.status, answer.code) == (404, "session_not_found")
    assert (await running.call("GET", BASE, key=other)).json["items"] == []
    assert running.sidecar.calls == []


async def test_a_session_that_another_replica_made_is_found_before_the_watch_tells(rest: Rest) -> None:
    rest.application.context.caches.sessions.put = lambda _: False  # type: ignore[union-attr, method-assign]
    await rest.kube.add_session()
    assert (await rest.call("GET", ONE)).status == 200


async def test_an_unknown_id_asks_the_api_server_once_a_second(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    get = rest.kube.get

    async def counted(*words: object) -> object:
        asked.append(words)
        return await get(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(rest.kube, "get", counted)
    for _ in range(5):
        assert (await rest.call("GET", f"{BASE}/cs_nosuch")).status == 404
    assert len(asked) == 1


@pytest.mark.parametrize(
    "identity",
    ["CS_ABC", "cs-abc123", "ws_abc123", "cs_", "cs_" + "a" * 41, "cs_abc%0A", "cs_%00", "%ff%fe", "cs_é", "cs_abc%20"],
)
async def test_what_is_no_id_is_404_and_asks_nobody(rest: Rest, identity: str) -> None:
    rest.kube.away = True
    answer = await rest.call("GET", f"{BASE}/{identity}")
    assert (answer.status, answer.code) == (404, "session_not_found")


async def test_an_id_may_be_percent_encoded(running: Rest) -> None:
    assert (await running.call("GET", f"{BASE}/cs%5Fabc123")).json["id"] == "cs_abc123"


async def test_head_is_get_without_a_body(running: Rest) -> None:
    answer, wanted = await running.call("HEAD", ONE), await running.call("GET", ONE)
    assert (answer.status, answer.text) == (200, b"")
    assert answer.headers["content-length"] == wanted.headers["content-length"]


async def test_reads_go_on_without_the_api_server(running: Rest) -> None:
    await running.call("GET", ONE)
    running.kube.go_away()
    assert (await running.call("GET", ONE)).status == 200
    assert [each["id"] for each in (await running.call("GET", BASE)).json["items"]] == ["cs_abc123"]
    assert (await running.call("GET", f"{ONE}/output")).json["chunks"][0]["text"] == "hi\n"
    assert (await running.call("POST", f"{ONE}/input", {"text": "x"})).status == 200
    assert (await running.call("GET", "/readyz", check=False)).status == 200
    refused = await running.call("POST", BASE, BODY)
    assert (refused.status, refused.code) == (503, "kubernetes_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    metrics = (await running.call("GET", "/metrics", check=False)).text
    assert b'stale_seconds{kind="codesessions"} 0.0\n' not in metrics


async def test_reads_without_the_api_server_say_how_old_they_are(running: Rest) -> None:
    for path in (ONE, BASE, "/api/v1/apps"):
        fresh = await running.call("GET", path)
        assert {"age", "cache-status"}.isdisjoint(name.lower() for name in fresh.headers)
    running.kube.go_away()

    give_up = asyncio.get_running_loop().time() + 20
    while "age" not in (await running.call("GET", ONE)).headers:
        assert asyncio.get_running_loop().time() < give_up
    for path in (ONE, BASE, "/api/v1/apps"):
        old = (await running.call("GET", path)).headers
        status = f"codesessions; hit; ttl=-{old['age']}; detail=kubernetes-unavailable"
        assert (int(old["age"]) >= 1, old["cache-status"]) == (True, status)
    assert "age" not in (await running.call("GET", f"{ONE}/output")).headers


async def test_who_did_what_is_written_down_and_nothing_else(running: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await running.call("POST", BASE, BODY, X_Request_Id="mine-1")
    await running.call("POST", f"{ONE}/input", {"text": "secret"})
    await running.call("DELETE", ONE, key="csk_stolen")
    created, typed, refused = audit_lines(caplog)
    assert (created["verb"], created["result"], created["requestId"]) == ("create", "ok", "mine-1")
    assert (created["userId"], created["organizationId"]) == ("u1", "org_demo")
    assert (typed["verb"], typed["session"], typed["bytes"]) == ("input", "cs_abc123", 6)
    assert (refused["verb"], refused["result"], refused["key"]) == ("complete", "invalid_api_key", None)
    text = json.dumps(audit_lines(caplog)) + caplog.text
    assert not any(word in text for word in ("secret", running.key, "Prüfung", "csk_stolen"))


async def test_a_revoked_key_is_refused_at_once(running: Rest) -> None:
    key = await running.kube.add_key()
    caches = running.application.context.caches  # type: ignore[union-attr]
    await until("the key is known", lambda: caches.keys.find(key.hash))
    assert (await running.call("GET", ONE, key=key.text)).status == 200
    await running.kube.patch(API_KEY, "demo", f"csk-{key.id}", {"spec": {"disabled": True}}, manager="t")
    await until("it is told", lambda: caches.keys.find(key.hash)[0]["spec"].get("disabled"))
    answer = await running.call("GET", ONE, key=key.text)
    assert (answer.status, answer.code) == (401, "invalid_api_key")


async def test_an_api_server_that_fails_halfway_is_said(running: Rest) -> None:
    running.kube.will_refuse("patch", CODE_SESSION, UnavailableError("etcd is slow", status=500))
    assert (await running.call("DELETE", ONE)).code == "kubernetes_unavailable"
    assert (await running.call("GET", ONE)).json["status"] == "running"


COUNT, APPS = "count/codesessions.codesessions.dev", "count/apps.codesessions.dev"


@pytest.mark.parametrize(
    ("limited", "said"),
    [
        (f"requested: {COUNT}=1, used: {COUNT}=20, limited: {COUNT}=20", "sessions: 20 of 20. None of them has ended."),
        (f"requested: {APPS}=1, used: {APPS}=5, limited: {APPS}=5", "Delete an app"),
        (f"requested: {COUNT}=1,pods=1, used: {COUNT}=20,pods=3, limited: {COUNT}=20,pods=3", "pods: 3 of 3"),
        ("in words nobody knows", "in words nobody knows"),
    ],
)
async def test_a_quota_says_which_limit_is_reached_and_what_to_do(rest: Rest, limited: str, said: str) -> None:
    message = f'codesessions.codesessions.dev "cs-x" is forbidden: exceeded quota: team, {limited}'
    rest.kube.will_refuse("create", CODE_SESSION, ForbiddenError(message, status=403))
    answer = await rest.call("POST", BASE, BODY)
    assert (answer.status, answer.code) == (403, "quota_exceeded")
    assert said in answer.json["detail"]
    for each in answer.json.get("limits", ()):
        assert (each["quota"], each["used"]) == ("team", each["hard"])


async def test_a_quota_that_was_just_made_is_waited_for(rest: Rest) -> None:
    message = f"forbidden: status unknown for quota: codesessions, resources: {COUNT}"
    rest.kube.will_refuse("create", CODE_SESSION, ForbiddenError(message, status=403))
    answer = await rest.call("POST", BASE, BODY)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
