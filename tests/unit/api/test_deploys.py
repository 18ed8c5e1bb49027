"""The calls about deploys, over HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from codesessions_kube.errors import ForbiddenError
from codesessions_kube.kinds import APP, BUILD
from support.restapi import ONE, Rest, until

DEPLOY = f"{ONE}/deploy"
APPS, BUILDS = "/api/v1/apps", "/api/v1/builds"
IMAGE = "registry:5000/demo/app-abc123@sha256:" + "1" * 64


def objects(rest: Rest, kind: str) -> list[dict[str, Any]]:
    return [each for (name, _, _), each in rest.kube.objects.items() if name == kind]


async def set_build(rest: Rest, identity: str, **status: Any) -> None:
    name = identity.replace("_", "-")
    await rest.kube.patch(BUILD, "demo", name, {"status": status}, manager="t")
    known = rest.application.context.deploys.caches.builds  # type: ignore[union-attr]
    wanted = rest.kube.objects["Build", "demo", name]["metadata"]["resourceVersion"]
    await until("the cache is told", lambda: known.get("demo", name)["metadata"]["resourceVersion"] == wanted)  # type: ignore[index]


async def test_a_deploy_writes_an_app_and_a_build_and_answers_at_once(running: Rest) -> None:
    answer = await running.call("POST", DEPLOY)
    build = answer.json["buildId"]
    assert answer.json == {"sessionId": "cs_abc123", "appId": "app_abc123", "status": "deploying", "buildId": build}
    (app,), (made,) = objects(running, "App"), objects(running, "Build")
    assert app["spec"] == {"sessionName": "cs-abc123"}
    assert made["metadata"]["name"] == build.replace("_", "-")
    assert made["metadata"]["ownerReferences"][0]["uid"] == app["metadata"]["uid"]
    spec = made["spec"]
    assert (spec["appName"], spec["sessionName"], spec["userId"]) == ("app-abc123", "cs-abc123", "u1")
    assert (await running.call("GET", f"{BUILDS}/{build}")).json["status"] == "zipping"
    assert (await running.call("GET", f"{APPS}/app_abc123")).json["status"] == "deploying"


async def test_every_deploy_is_another_build_of_the_same_app(running: Rest) -> None:
    first, second = [(await running.call("POST", DEPLOY)).json for _ in range(2)]
    assert first["appId"] == second["appId"]
    assert first["buildId"] != second["buildId"]
    listed = (await running.call("GET", f"{APPS}/app_abc123/builds")).json["items"]
    assert {each["id"] for each in listed} == {first["buildId"], second["buildId"]}


def set_clock(rest: Rest, **after: float) -> None:
    """Some time after what MemoryKube calls the moment of creation."""
    moment = datetime(2025, 2, 1, 14, 25, 1, tzinfo=UTC) + timedelta(**after)
    rest.application.context.deploys._now = lambda: moment  # type: ignore[union-attr]


async def test_the_same_key_is_the_same_deploy(running: Rest) -> None:
    set_clock(running, hours=1)
    answers = await asyncio.gather(*(running.call("POST", DEPLOY, Idempotency_Key="k1") for _ in range(5)))
    assert len({each.json["buildId"] for each in answers}) == 1
    assert sorted(each.headers.get("idempotency-replayed", "") for each in answers) == [""] + 4 * ["true"]
    set_clock(running, hours=23)
    assert (await running.call("POST", DEPLOY, Idempotency_Key="k1")).json["buildId"] == answers[0].json["buildId"]
    other = await running.call("POST", DEPLOY, Idempotency_Key="k2")
    assert other.json["buildId"] != answers[0].json["buildId"]
    assert len(objects(running, "Build")) == 2
    set_clock(running, hours=25)
    assert (await running.call("POST", DEPLOY, Idempotency_Key="k1")).json["buildId"] != answers[0].json["buildId"]


async def test_an_app_that_is_there_is_found_when_the_quota_of_apps_is_used_up(running: Rest) -> None:
    first = (await running.call("POST", DEPLOY)).json
    running.application.context.deploys.caches.apps.get = lambda *_: None  # type: ignore[union-attr, method-assign]
    running.kube.will_refuse("create", APP, ForbiddenError("exceeded quota: q, ...", status=403))
    assert (await running.call("POST", DEPLOY)).json["appId"] == first["appId"]


@pytest.mark.parametrize("key", ['""', "x" * 256])
async def test_a_key_that_is_none_is_refused(running: Rest, key: str) -> None:
    assert (await running.call("POST", DEPLOY, Idempotency_Key=key)).code == "invalid_parameter"


@pytest.mark.parametrize(
    ("phase", "status"), [("Succeeded", "running"), ("Failed", "failed"), ("Superseded", "deploying")]
)
async def test_one_that_waits_is_told_how_it_ended(running: Rest, phase: str, status: str) -> None:
    waiting = asyncio.create_task(running.call("POST", DEPLOY, Prefer="wait=30"))
    await until("it is written", lambda: objects(running, "Build"))
    await set_build(running, objects(running, "Build")[0]["metadata"]["name"], phase=phase)
    answer = await waiting
    assert (answer.status, answer.json["status"]) == (200, status)
    assert answer.headers["preference-applied"] == "wait=30"


async def test_a_deploy_after_a_rollback_takes_the_app_forward_again(running: Rest) -> None:
    await running.call("POST", DEPLOY)
    revisions = [{"number": number, "image": IMAGE, "createdAt": "2025-02-01T14:25:01Z"} for number in (1, 2)]
    await running.kube.patch(APP, "demo", "app-abc123", {"status": {"revisions": revisions}}, manager="t")
    apps = running.application.context.deploys.caches.apps  # type: ignore[union-attr]
    await until("it is told", lambda: apps.get("demo", "app-abc123")["status"])  # type: ignore[index]
    answer = await running.call("POST", f"{APPS}/app_abc123/rollback", {"revision": 1})
    assert answer.json["pinnedRevision"] == 1
    await running.call("POST", DEPLOY)
    assert "revision" not in objects(running, "App")[0]["spec"]


async def test_apps_of_another_organisation_are_not_there(running: Rest) -> None:
    build = (await running.call("POST", DEPLOY)).json["buildId"]
    await running.kube.add_organization("other")
    key = await running.kube.add_key("other")
    caches = running.application.context.caches  # type: ignore[union-attr]
    await until("the key is known", lambda: caches.keys.find(key.hash) and caches.organization("other"))
    for method, path, code in (
        ("GET", f"{APPS}/app_abc123", "app_not_found"),
        ("DELETE", f"{APPS}/app_abc123", "app_not_found"),
        ("GET", f"{BUILDS}/{build}", "build_not_found"),
        ("POST", f"{BUILDS}/{build}/cancel", "build_not_found"),
        ("GET", f"{BUILDS}/{build}/logs", "build_not_found"),
        ("POST", DEPLOY, "session_not_found"),
    ):
        answer = await running.call(method, path, key=key.text)
        assert (answer.status, answer.code) == (404, code)
    assert (await running.call("GET", APPS, key=key.text)).json["items"] == []


async def test_reading_takes_the_read_scope_and_changing_the_deploy_scope(running: Rest) -> None:
    build = (await running.call("POST", DEPLOY)).json["buildId"]
    key = await running.kube.add_key("demo", "read", "write")
    caches = running.application.context.caches  # type: ignore[union-attr]
    await until("the key is known", lambda: caches.keys.find(key.hash))
    for path in (
        APPS,
        f"{APPS}/app_abc123",
        f"{APPS}/app_abc123/builds",
        f"{BUILDS}/{build}",
        f"{BUILDS}/{build}/logs",
    ):
        assert (await running.call("GET", path, key=key.text)).status == 200
    for method, path in (("POST", DEPLOY), ("DELETE", f"{APPS}/app_abc123"), ("POST", f"{BUILDS}/{build}/cancel")):
        assert (await running.call(method, path, key=key.text)).code == "missing_scope"


async def test_deleting_an_app_deletes_the_resource_and_leaves_the_session(running: Rest) -> None:
    await running.call("POST", DEPLOY)
    assert (await running.call("DELETE", f"{APPS}/app_abc123")).status == 204
    assert objects(running, "App") == []
    assert (await running.call("GET", ONE)).json["status"] == "running"


async def test_cancelling_twice_is_one_cancellation(running: Rest) -> None:
    build = (await running.call("POST", DEPLOY)).json["buildId"]
    for _ in range(2):
        assert (await running.call("POST", f"{BUILDS}/{build}/cancel")).status == 200
    assert objects(running, "Build")[0]["spec"]["cancelled"] is True


async def test_a_log_is_the_containers_lines_in_their_order(running: Rest) -> None:
    build = (await running.call("POST", DEPLOY)).json["buildId"]
    name = build.replace("_", "-")
    running.kube.logs["demo", name, "fetch"] = [b"fetched 3 f", b"iles\n"]
    running.kube.logs["demo", name, "build"] = [b"10 %\r50 %\r100 %\n", "fertig ✓".encode()]
    conditions = [{"type": "Ready", "status": "False", "reason": "BuildFailed", "message": "exit code 1."}]
    await set_build(running, build, phase="Failed", containers=["fetch", "build"], conditions=conditions)
    text = (await running.call("GET", f"{BUILDS}/{build}/logs")).text.decode()
    assert text == "fetched 3 files\n100 %\nfertig ✓\nFailed: BuildFailed: exit code 1.\n"
    events = (await running.call("GET", f"{BUILDS}/{build}/logs?follow=true", Accept="text/event-stream")).text
    assert events.startswith(b"id: 1\ndata: fetched 3 files\n\nid: 2\ndata: 100 %\n\n")
    assert events.endswith(b'event: end\ndata: {"status":"failed"}\n\n')


async def test_a_log_goes_on_after_the_last_event_that_was_seen(running: Rest) -> None:
    build = (await running.call("POST", DEPLOY)).json["buildId"]
    running.kube.logs["demo", build.replace("_", "-"), "build"] = [b"one\ntwo\nthree\n"]
    await set_build(running, build, phase="Succeeded", containers=["build"])
    answer = await running.call("GET", f"{BUILDS}/{build}/logs?follow=1", Accept="text/event-stream", Last_Event_ID="2")
    assert answer.text == b'id: 3\ndata: three\n\nevent: end\ndata: {"status":"succeeded"}\n\n'


async def test_a_follower_waits_for_the_first_line(running: Rest) -> None:
    build = (await running.call("POST", DEPLOY)).json["buildId"]
    waiting = asyncio.create_task(running.call("GET", f"{BUILDS}/{build}/logs?follow=true"))
    running.kube.logs["demo", build.replace("_", "-"), "build"] = [b"hello\n"]
    await set_build(running, build, phase="Building", containers=["build"])
    await set_build(running, build, phase="Succeeded")
    assert (await waiting).text == b"hello\n"


async def test_apps_are_listed_newest_first_page_by_page(running: Rest) -> None:
    for number in range(5):
        metadata = {"name": f"app-a{number}", "creationTimestamp": f"2025-02-01T14:25:0{number}Z"}
        await running.kube.create(APP, "demo", {"metadata": metadata, "spec": {"image": IMAGE}}, manager="t")
    apps = running.application.context.deploys.caches.apps  # type: ignore[union-attr]
    await until("they are known", lambda: len(apps.items("demo")) == 5)
    found, path = [], f"{APPS}?limit=2"
    while path:
        page = (await running.call("GET", path)).json
        found += [each["id"] for each in page["items"]]
        path = f"{APPS}?limit=2&cursor={page['nextCursor']}" if page["nextCursor"] else ""
    assert found == [f"app_a{number}" for number in (4, 3, 2, 1, 0)]
    assert (await running.call("GET", f"{APPS}?cursor=abc")).code == "invalid_parameter"
