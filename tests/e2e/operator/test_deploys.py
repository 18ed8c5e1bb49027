"""Apps and Builds with a real API server and a real registry; the sidecar, the kubelet and the rollout are the test's.

What real builds and requests do is in tests/e2e/deploy.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from codesessions_crds.names import PTY_PORT
from codesessions_oci.errors import NotFoundError
from codesessions_oci.registry import Registry
from support.handkubelet import API, HandSession, running
from support.kubectl import Kubectl
from support.registry import RealRegistry
from support.session import ready, until

Object = dict[str, Any]
Start = Callable[..., Any]
Make = Callable[..., HandSession]
WORD = "deploy"
APP = f"app-{WORD}"


class FakeSidecar:
    """Sends a zip of `files`, once `gate` is open; counts what it was asked for."""

    def __init__(self) -> None:
        self.ip = f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"
        self.files = {"index.html": "<h1>one</h1>"}
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0
        sidecar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sidecar.asked += 1
                assert self.headers["Authorization"].startswith("Bearer ")
                assert self.path.startswith("/v1/archive?")
                sidecar.gate.wait(120)
                body = sidecar.zip()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((self.ip, PTY_PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def zip(self) -> bytes:
        found = io.BytesIO()
        with zipfile.ZipFile(found, "w") as archive:
            for name, text in self.files.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
        return found.getvalue()

    def stop(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    found = RealRegistry(tmp_path_factory.mktemp("registry"))
    found.start()
    yield found
    found.stop()


class Stage:
    """A session that runs, an operator, and what a test says for sidecar, kubelet and Deployment controller."""

    def __init__(
        self, kubectl: Kubectl, registry: RealRegistry, sidecar: FakeSidecar, start: Callable[[], Any]
    ) -> None:
        self.kubectl, self.registry, self.sidecar, self._start = kubectl, registry, sidecar, start
        self.operator = start()

    def again(self) -> None:
        """Kill the operator and start another."""
        self.operator.end(signal.SIGKILL)
        self.operator = self._start()

    def app(self, **spec: Any) -> None:
        spec = spec or {"sessionName": f"cs-{WORD}"}
        self.kubectl.apply({"apiVersion": API, "kind": "App", "metadata": {"name": APP}, "spec": spec})

    def build(self, name: str, **spec: Any) -> str:
        spec = {"appName": APP, **(spec or {"sessionName": f"cs-{WORD}"})}
        self.kubectl.apply({"apiVersion": API, "kind": "Build", "metadata": {"name": name}, "spec": spec})
        return name

    def status(self, kind: str, name: str) -> Object:
        return (self.kubectl.get(kind, name) or {}).get("status") or {}

    def until_phase(self, kind: str, name: str, phase: str, reason: str = "") -> Object:
        def probe() -> Object | None:
            found = self.kubectl.get(kind, name) or {}
            here = (found.get("status") or {}).get("phase") == phase and reason in {"", ready(found).get("reason")}
            return found if here else None

        try:
            found: Object = until(f"{name} is {phase} {reason}", probe, seconds=120)
        except AssertionError as error:
            raise AssertionError(f"{error}; {json.dumps(self.status(kind, name), indent=1)}") from error
        return found

    def until_building(self, build: str) -> Object:
        found: Object = until(f"{build} has a pod", lambda: self.kubectl.get("pod", build), seconds=120)
        return found

    def images(self, text: str) -> str:
        """Push something that stands for an image; its digest."""

        async def push() -> str:
            async with Registry(self.registry.settings()) as client:
                repository = client.settings.repository(self.kubectl.namespace, APP)
                blob = await client.push_bytes(repository, text.encode())
                return (await client.push_artifact(repository, text, "application/x", [blob], {})).digest

        return asyncio.run(push())

    def has_image(self, digest: str) -> bool:
        async def read() -> bool:
            async with Registry(self.registry.settings()) as client:
                repository = client.settings.repository(self.kubectl.namespace, APP)
                try:
                    manifest = await client.get_manifest(repository, digest)
                except NotFoundError:
                    return False
                return all([await client.has_blob(repository, each.digest) for each in manifest.layers])

        return asyncio.run(read())

    def tags(self, name: str) -> list[str]:
        async def read() -> list[str]:
            async with Registry(self.registry.settings()) as client:
                return await client.tags(client.settings.repository(self.kubectl.namespace, name))

        return sorted(asyncio.run(read()))

    def built(self, build: str) -> str:
        """The build pod ends well; the image's digest."""
        self.until_building(build)
        digest = self.images(build)
        self.pod_says(build, "build", {"terminated": {"exitCode": 0, "message": json.dumps({"imageDigest": digest})}})
        return digest

    def pod_says(self, pod: str, container: str, state: Object, **more: Any) -> None:
        status = {"name": container, "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
        body = {"status": {"phase": "Running", "containerStatuses": [{**status, **more}]}}
        self.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps(body))

    def rolled_out(self, revision: int) -> None:
        """The Deployment becomes available at a revision."""

        def probe() -> Object | None:
            found = self.kubectl.get("deployment", APP)
            here = found and found["metadata"]["annotations"].get("codesessions.dev/revision") == str(revision)
            return found if here else None

        found = until(f"the Deployment is at revision {revision}", probe, seconds=120)
        counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), 1)
        body = {"status": {"observedGeneration": found["metadata"]["generation"], **counts}}
        self.kubectl("patch", "deployment", APP, "--subresource=status", "--type=merge", "-p", json.dumps(body))

    def deploy(self, name: str, text: str, revision: int) -> None:
        """All of it, to the end."""
        self.sidecar.files["index.html"] = text
        self.build(name)
        self.built(name)
        self.rolled_out(revision)
        self.until_phase("build", name, "Succeeded")


@pytest.fixture
def stage(kubectl: Kubectl, registry: RealRegistry, make: Make, start: Start) -> Iterator[Stage]:
    sidecar = FakeSidecar()
    variables = {
        **registry.variables(),
        "CODESESSIONS_APPS_DOMAIN": "apps.test",
        "CODESESSIONS_BUILD_IMAGE": "builder:1",
        "CODESESSIONS_BUILD_RUNTIME_IMAGES": json.dumps({"runtime": f"{registry.host}/runtime:1"}),
        "CODESESSIONS_LEADER_ELECTION": "false",
        "CODESESSIONS_BUILD_KEPT_SECONDS": "0",
    }
    found = Stage(kubectl, registry, sidecar, lambda: start(**variables))
    session = make(f"cs-{WORD}")
    session.until_pod()
    session.bind()
    session.says(running(ip=sidecar.ip))
    session.until_phase("Running", "Running")
    yield found
    kubectl("delete", "csapp,builds", "--all", "--wait=false")
    sidecar.stop()


def test_from_files_to_a_revision_that_serves(stage: Stage) -> None:
    stage.app()
    build = stage.build("bld-one")
    pod = stage.until_building(build)
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["metadata"]["labels"]["codesessions.dev/app"] == APP
    stage.until_phase("build", build, "Building")
    digest = stage.built(build)
    stage.rolled_out(1)
    found = stage.until_phase("build", build, "Succeeded")["status"]
    assert found["revision"] == 1
    assert found["image"] == f"{stage.registry.host}/some/prefix/{stage.kubectl.namespace}/{APP}@{digest}"
    assert [each["phase"] for each in found["phases"]] == ["Zipping", "Building", "RollingOut"]
    app = stage.until_phase("csapp", APP, "Running", "Running")["status"]
    assert app["url"] == f"https://{WORD}-{stage.kubectl.namespace}.apps.test"
    assert (app["revision"], app["revisions"][0]["sourceDigest"]) == (1, found["sourceDigest"])
    for kind in ("service", "ingress", "networkpolicy/codesessions-apps", "networkpolicy/codesessions-builds"):
        name = kind.partition("/")[2] or APP
        until(f"{kind} is there", lambda kind=kind, name=name: stage.kubectl.get(kind.partition("/")[0], name))
    until("the build pod is gone", lambda: stage.kubectl.get("pod", build) is None)
    until("its log is kept", lambda: stage.status("build", build).get("logDigest", "").startswith("sha256:"))
    assert stage.tags("sources") == [build]


@pytest.mark.parametrize("phase", ["Zipping", "Building", "RollingOut"])
def test_an_operator_that_is_killed_in_a_phase_goes_on(stage: Stage, phase: str) -> None:
    stage.app()
    if phase == "Zipping":
        stage.sidecar.gate.clear()
    build = stage.build("bld-killed")
    if phase == "Zipping":
        until("the files are asked for", lambda: stage.sidecar.asked >= 1)
    if phase == "Building":
        stage.until_building(build)
    if phase == "RollingOut":
        stage.built(build)
    stage.until_phase("build", build, phase)
    stage.again()
    stage.sidecar.gate.set()
    if phase != "RollingOut":
        stage.built(build)
    stage.rolled_out(1)
    found = stage.until_phase("build", build, "Succeeded")["status"]
    assert (found["revision"], found["attempts"]) == (1, 1)
    stage.until_phase("csapp", APP, "Running")


def test_a_revision_that_crashes_gives_way_to_the_one_before(stage: Stage) -> None:
    stage.app()
    stage.deploy("bld-good", "good", 1)
    stage.sidecar.files["index.html"] = "bad"
    build = stage.build("bld-poor")
    stage.built(build)
    found = stage.until_phase("build", build, "RollingOut")
    until("revision 2 is applied", lambda: _revision_of(stage.kubectl) == "2")
    labels = {
        "app.kubernetes.io/managed-by": "codesessions-operator",
        "codesessions.dev/app": APP,
        "codesessions.dev/revision": "2",
    }
    spec = {"containers": [{"name": "app", "image": "x"}], "automountServiceAccountToken": False}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{APP}-1-2", "labels": labels}, "spec": spec}
    stage.kubectl.apply(pod)
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no database\n"}}
    stage.pod_says(f"{APP}-1-2", "app", waiting, restartCount=3, lastState=last)
    found = stage.until_phase("build", build, "Failed", "CrashLooping")
    assert "no database" in ready(found)["message"]
    stage.rolled_out(1)
    app = stage.until_phase("csapp", APP, "Failed", "RolloutFailed")
    assert "no database" in ready(app)["message"]
    assert "Revision 1 goes on serving" in ready(app)["message"]
    assert app["status"]["revision"] == 1


def _revision_of(kubectl: Kubectl) -> str:
    found = kubectl.get("deployment", APP) or {"metadata": {}}
    return str((found["metadata"].get("annotations") or {}).get("codesessions.dev/revision"))


def test_rollback_by_kubectl_needs_no_build(stage: Stage) -> None:
    stage.app()
    stage.deploy("bld-a", "a", 1)
    stage.deploy("bld-b", "b", 2)
    patch = lambda revision: stage.kubectl(  # noqa: E731
        "patch", "csapp", APP, "--type=merge", "-p", json.dumps({"spec": {"revision": revision}})
    )
    patch(1)
    stage.rolled_out(1)
    until("revision 1 serves", lambda: stage.status("csapp", APP).get("revision") == 1)
    assert len(stage.kubectl.list("builds")) == 2
    patch(9)
    message = ready(stage.until_phase("csapp", APP, "Failed", "RevisionNotFound"))["message"]
    assert "there are: 1, 2" in message
    patch(None)
    stage.rolled_out(2)
    until("revision 2 serves", lambda: stage.status("csapp", APP).get("revision") == 2)


def test_a_newer_build_supersedes_and_a_cancelled_one_frees_the_slot(stage: Stage) -> None:
    stage.app()
    first = stage.build("bld-first")
    stage.until_building(first)
    second = stage.build("bld-second", sessionName=f"cs-{WORD}", requestedAt=_later(stage, first))
    stage.until_phase("build", first, "Superseded")
    until("its pod is gone", lambda: stage.kubectl.get("pod", first) is None)
    stage.until_building(second)
    stage.kubectl("patch", "build", second, "--type=merge", "-p", json.dumps({"spec": {"cancelled": True}}))
    stage.until_phase("build", second, "Cancelled")
    until("its pod is gone", lambda: stage.kubectl.get("pod", second) is None)


def _later(stage: Stage, build: str) -> str:
    """Half a second after another Build, so that the order does not hang on whole seconds."""
    made = (stage.kubectl.get("build", build) or {})["metadata"]["creationTimestamp"]
    return str(made).replace("Z", ".999999Z")


def test_what_a_build_needs_and_has_not_is_said(stage: Stage) -> None:
    stage.app()
    none = "sha256:" + "0" * 64
    found = stage.until_phase("build", stage.build("bld-nosource", sourceDigest=none), "Failed", "SourceNotFound")
    assert none in ready(found)["message"]
    assert ready(stage.until_phase("csapp", APP, "Failed", "SourceNotFound"))
    stage.build("bld-nosession", sessionName="cs-nosuch", requestedAt=_later(stage, "bld-nosource"))
    stage.until_phase("build", "bld-nosession", "Failed", "SessionNotRunning")


def test_a_build_waits_for_its_app_and_goes_with_it(stage: Stage) -> None:
    build = stage.build("bld-early")
    stage.until_phase("build", build, "Zipping", "AppNotFound")
    stage.app()
    stage.until_building(build)
    stage.kubectl("delete", "csapp", APP)
    until("the Build is gone", lambda: stage.kubectl.get("build", build) is None)


def test_a_lost_build_pod_is_made_again_three_times_at_most(stage: Stage) -> None:
    stage.app()
    build = stage.build("bld-lost")
    seen: set[str] = set()
    for _ in range(3):
        pod = until(
            "another pod",
            lambda: (found := stage.kubectl.get("pod", build)) and found["metadata"]["uid"] not in seen and found,
            seconds=120,
        )
        seen.add(pod["metadata"]["uid"])
        body = {"status": {"phase": "Failed", "reason": "Evicted", "message": "the node was low on disk"}}
        stage.kubectl("patch", "pod", build, "--subresource=status", "--type=merge", "-p", json.dumps(body))
    found = stage.until_phase("build", build, "Failed", "PodLost")
    assert (found["status"]["attempts"], "low on disk" in ready(found)["message"]) == (3, True)


def test_old_builds_go_with_what_they_left_in_the_registry(stage: Stage) -> None:
    stage.app(sessionName=f"cs-{WORD}", revisionHistoryLimit=2)
    for number in range(1, 6):
        stage.deploy(f"bld-n{number}", f"text {number}", number)
    kept = ["bld-n4", "bld-n5"]
    until("old builds are gone", lambda: [each["metadata"]["name"] for each in stage.kubectl.list("builds")] == kept)
    assert [each["number"] for each in stage.status("csapp", APP)["revisions"]] == [4, 5]
    for repository in ("sources", "logs", APP):
        until(f"{repository} is swept", lambda name=repository: stage.tags(name) == kept, seconds=120)
    stage.kubectl("delete", "csapp", APP)
    stage.kubectl("delete", "builds", "--all")
    for repository in ("sources", "logs", APP):
        until(f"{repository} is empty", lambda name=repository: stage.tags(name) == [], seconds=120)


def test_an_app_of_an_image_needs_no_build(stage: Stage, tmp_path: Path) -> None:
    image = "registry.test/x@sha256:" + "1" * 64
    stage.app(image=image)
    stage.rolled_out(1)
    found = stage.until_phase("csapp", APP, "Running")["status"]
    assert (found["image"], found["revisions"][0]["number"]) == (image, 1)
    other = image.replace("1" * 64, "2" * 64)
    stage.app(image=other)
    stage.rolled_out(2)
    until("the other image serves", lambda: stage.status("csapp", APP)["image"] == other)
    assert stage.kubectl.list("builds") == []


def test_an_app_of_a_source_is_built(stage: Stage) -> None:
    stage.app()
    stage.deploy("bld-first", "text", 1)
    source = stage.status("build", "bld-first")["sourceDigest"]
    body = {"apiVersion": API, "kind": "App", "metadata": {"name": "app-other"}, "spec": {"source": source}}
    stage.kubectl.apply(body)
    (build,) = until(
        "a Build is made",
        lambda: [each for each in stage.kubectl.list("builds") if each["spec"]["appName"] == "app-other"],
    )
    stage.until_phase("build", build["metadata"]["name"], "Building")


@pytest.fixture
def away(stage: Stage) -> Iterator[Callable[[], None]]:
    """Stops the registry, which is there again afterwards."""
    yield stage.registry.stop
    stage.registry.stop()
    stage.registry.start()


UNREACHED = {"code": "registry_unavailable", "error": "the registry does not answer", "transient": True}


@pytest.mark.parametrize("phase", ["Zipping", "Building", "Built"])
def test_a_registry_that_is_away_is_waited_for(stage: Stage, away: Callable[[], None], phase: str) -> None:
    stage.app()
    if phase == "Zipping":
        away()
    build = stage.build(f"bld-away{phase.lower()}")
    if phase == "Building":
        first = stage.until_building(build)["metadata"]["uid"]
        away()
        ended = {"terminated": {"exitCode": 75, "message": json.dumps(UNREACHED)}}
        stage.pod_says(build, "build", ended)
    if phase == "Built":
        stage.until_building(build)
        digest = stage.images(build)
        away()
        done = {"terminated": {"exitCode": 0, "message": json.dumps({"imageDigest": digest})}}
        stage.pod_says(build, "build", done)
    waiting = stage.until_phase("build", build, "Zipping" if phase == "Zipping" else "Building", "RegistryUnavailable")
    assert "does not answer" in ready(waiting)["message"]
    stage.registry.start()
    if phase == "Building":
        until("another pod", lambda: stage.until_building(build)["metadata"]["uid"] != first)
    if phase != "Built":
        stage.built(build)
    stage.rolled_out(1)
    found = stage.until_phase("build", build, "Succeeded")["status"]
    assert found["attempts"] == (2 if phase == "Building" else 1)
    until("its log is kept", lambda: stage.status("build", build).get("logDigest"))


def test_an_image_outlives_the_build_that_made_it_where_a_later_one_took_it(stage: Stage) -> None:
    stage.app(sessionName=f"cs-{WORD}", revisionHistoryLimit=2)
    stage.deploy("bld-a", "one", 1)
    image = stage.status("build", "bld-a")["image"].rpartition("@")[2]
    stage.deploy("bld-b", "two", 2)
    stage.sidecar.files["index.html"] = "one"
    stage.build("bld-c")
    stage.rolled_out(3)
    stage.until_phase("build", "bld-c", "Succeeded")
    until("the first is gone", lambda: stage.kubectl.get("build", "bld-a") is None)
    until("and its log", lambda: "bld-a" not in stage.tags("logs"), seconds=120)
    stage.registry.stop()
    stage.registry.collect()
    stage.registry.start()
    assert stage.has_image(image)
    stage.kubectl("delete", "csapp", APP)
    stage.kubectl("delete", "builds", "--all")
    until("nothing is left", lambda: stage.tags(APP) == [] and stage.tags("sources") == [], seconds=120)
