"""A static site from a session to its host name, and all that can happen to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from codesessions_dev.client import BASE, Client
from codesessions_dev.page import Pages
from support.app import App, Load
from support.kubectl import Kubectl
from support.session import until

Make = Callable[[str], App]


def test_deployed_changed_under_load_and_rolled_back(make: Make, pages: Pages, kubectl: Kubectl) -> None:
    app = make("site")
    app.write(index__html="<h1>one</h1>")
    first = app.deploy()
    assert first["status"] == "succeeded", first["message"]
    assert (first["revision"], first["sourceDigest"][:7], first["sessionId"]) == (1, "sha256:", app.session.id)
    assert app.until_page("one") == "<h1>one</h1>\n"
    with Load(pages, app.until("running", revision=1)["url"] + "/") as load:
        until("requests are answered", lambda: load.answers.total() > 20)
        app.write(index__html="<h1>two</h1>")
        second = app.deploy()
        assert second["status"] == "succeeded", second["message"]
        until("the new page is served", lambda: load.answers["<h1>two</h1>"] > 20)
        app.roll_back(1)
        seen = load.answers["<h1>one</h1>"]
        until("the old page is served again", lambda: load.answers["<h1>one</h1>"] > seen + 20)
        until(
            "nothing of the newer is left",
            lambda: len(kubectl.list("pods", "-l", f"codesessions.dev/app={app.name}")) == 1,
        )
    assert load.problems == []
    assert load.answers.keys() == {"<h1>one</h1>", "<h1>two</h1>"}
    app.until("running", revision=1, pinnedRevision=1)
    app.write(index__html="<h1>three</h1>")
    assert app.deploy()["revision"] == 3
    app.until_page("three")
    app.until("running", revision=3, pinnedRevision=None)


def test_what_has_not_changed_is_not_built_again(make: Make) -> None:
    app = make("same")
    app.write(index__html="same")
    first, second = app.deploy(), app.deploy()
    assert second["status"] == "succeeded"
    assert (second["sourceDigest"], second["image"], second["revision"]) == (
        first["sourceDigest"],
        first["image"],
        first["revision"],
    )
    assert [each["phase"] for each in second["phases"]] == ["zipping", "rolling_out"]


def test_a_build_that_cannot_be_says_why_and_its_log_outlives_its_pod(make: Make, kubectl: Kubectl) -> None:
    app = make("broken")
    app.write(notes__xyz="nothing to serve")
    found = app.deploy()
    assert (found["status"], found["reason"]) == ("failed", "NoLanguage")
    assert "index.html" in found["message"]
    app.until("failed", reason="NoLanguage")
    name = found["id"].replace("_", "-")
    until("the pod is gone", lambda: kubectl.get("pod", name) is None)
    app.until_log(found["id"], "Source sha256:", "NoLanguage")
    app.write(index__html="mended")
    assert app.deploy()["status"] == "succeeded"
    app.until("running", revision=1)


def test_a_revision_that_crashes_leaves_the_old_one_serving(make: Make) -> None:
    app = make("crash")
    app.write(index__html="good")
    assert app.deploy()["status"] == "succeeded"
    app.write(Procfile="web: sh -c 'echo the database is on fire; exit 3'")
    found = app.deploy()
    assert (found["status"], found["reason"]) == ("failed", "CrashLooping")
    assert "the database is on fire" in found["message"]
    app.until("failed", revision=1, message="Revision 1 goes on serving")
    app.until_page("good")


def test_a_program_that_is_done_at_once_is_no_application(make: Make) -> None:
    app = make("done")
    app.write(Procfile="web: echo all is done")
    found = app.deploy()
    assert (found["status"], found["reason"]) == ("failed", "CrashLooping")
    assert "exit code 0" in found["message"]
    assert "all is done" in found["message"]


def test_of_many_deploys_at_once_the_newest_wins(make: Make) -> None:
    app = make("many")
    app.write(index__html="many")
    with ThreadPoolExecutor(10) as pool:
        builds = list(pool.map(lambda _: app.start(), range(10)))
    ends = [app.ended(each)["status"] for each in builds]
    assert ends.count("succeeded") >= 1
    assert set(ends) <= {"succeeded", "superseded"}
    app.until_page("many")


def test_a_cancelled_build_frees_the_slot(make: Make, client: Client) -> None:
    app = make("cancel")
    app.session.run("head -c 60000000 /dev/urandom > large.bin; echo later > index.html")
    build = app.start()
    client.must("POST", f"/api/v1/builds/{build}/cancel")
    assert app.ended(build)["status"] == "cancelled"
    app.session.run("rm large.bin")
    assert app.deploy()["status"] == "succeeded"
    app.until_page("later")


def test_the_same_key_is_the_same_build(make: Make) -> None:
    app = make("key")
    app.write(index__html="once")
    builds = {app.start(Idempotency_Key="k-1") for _ in range(3)}
    assert len(builds) == 1
    assert app.ended(builds.pop())["status"] == "succeeded"


def test_an_app_is_made_of_an_image_by_kubectl_alone(make: Make, kubectl: Kubectl) -> None:
    app = make("image")
    app.write(index__html="from an image")
    image = app.deploy()["image"]
    spec = {"image": image}
    metadata = {"name": "app-byimage"}
    kubectl.apply({"apiVersion": "codesessions.dev/v1alpha1", "kind": "App", "metadata": metadata, "spec": spec})
    try:
        kubectl.wait("csapp/app-byimage", "condition=Ready", seconds=120)
        assert "app-byimage" in kubectl("get", "apps.codesessions.dev")
    finally:
        kubectl("delete", "csapp", "app-byimage", "--wait=true")
    until("its Deployment is gone", lambda: kubectl.get("deployment", "app-byimage") is None)


def test_deleted_it_is_gone_with_all_it_had(make: Make, client: Client, kubectl: Kubectl) -> None:
    app = make("gone")
    app.write(index__html="gone")
    assert app.deploy()["status"] == "succeeded"
    assert client.call("DELETE", f"/api/v1/apps/{app.id}")[0] == 204
    for kind in ("deployment", "service", "ingress"):
        until(f"the {kind} is gone", lambda kind=kind: kubectl.get(kind, app.name) is None)
    until("it is no longer known", lambda: client.call("GET", f"/api/v1/apps/{app.id}")[0] == 404)
    until("its builds are gone", lambda: app.name not in json.dumps(kubectl.list("builds")))
    assert client.must("GET", f"{BASE}/{app.session.id}")["status"] == "running"
