"""Deploys do not fill the registry's disk: what nobody needs is deleted, and its bytes come back.

CODESESSIONS_DEPLOYS=full: thirty deploys on the chart's bundled registry, which is installed for that, is killed in
each phase, and collects its garbage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from support.app import App
from support.bundled import Bundled, bundled
from support.kubectl import Kubectl
from support.registryview import RegistryView
from support.session import until

Make = Callable[[str], App]
FULL = os.environ.get("CODESESSIONS_DEPLOYS") == "full"
full = pytest.mark.skipif(not FULL, reason="CODESESSIONS_DEPLOYS=full")
LIMIT = 2


def _repositories(app: App) -> list[str]:
    return [f"demo/{name}" for name in ("sources", "logs", app.name)]


def _left(view: RegistryView, app: App, builds: list[str]) -> dict[str, list[str]]:
    """The tags that this App's Builds have in each repository."""
    mine = {build.replace("_", "-") for build in builds}
    return {name: sorted(mine & set(tags)) for name, tags in view.tags(*_repositories(app)).items()}


def _deploy_often(app: App, kubectl: Kubectl, count: int, *, size: int = 1000) -> list[str]:
    """Deploy `count` changes of a site that keeps LIMIT revisions; the Builds."""
    builds = []
    for number in range(count):
        app.session.run(f"head -c {size} /dev/urandom > data.bin; echo number {number} > index.html")
        found = app.deploy()
        assert found["status"] == "succeeded", found["message"]
        builds.append(found["id"])
        if number == 0:
            kubectl("patch", "csapp", app.name, "--type=merge", "-p", f'{{"spec":{{"revisionHistoryLimit":{LIMIT}}}}}')
    return builds


def test_of_five_deploys_the_registry_keeps_what_the_history_keeps(make: Make, kubectl: Kubectl) -> None:
    app, view = make("disk"), RegistryView(kubectl)
    builds = _deploy_often(app, kubectl, 5)
    kept = sorted(build.replace("_", "-") for build in builds[-LIMIT:])
    until(
        "what is older is deleted",
        lambda: all(tags == kept for tags in _left(view, app, builds).values()),
        seconds=240,
        every=1,
    )
    others = [tag for tag in view.tags(*_repositories(app))[f"demo/{app.name}"] if not tag.startswith("bld-")]
    assert len(others) <= 2 * LIMIT, f"a statement and a list of statements for each image: {others}"
    until("the App has forgotten the rest", lambda: len(app.get()["revisions"]) == LIMIT)
    for revision in app.get()["revisions"]:
        assert view.is_whole(f"demo/{app.name}", revision["image"].rpartition("@")[2])
    kubectl("delete", "csapp", app.name)
    until(
        "nothing is left of it",
        lambda: not any(_left(view, app, builds).values()) and not view.tags(f"demo/{app.name}")[f"demo/{app.name}"],
        seconds=240,
        every=1,
    )


@pytest.fixture(scope="module")
def registry(request: pytest.FixtureRequest) -> Iterator[Bundled]:
    kubectl: Kubectl = request.getfixturevalue("kubectl")
    with bundled(kubectl) as found:
        yield found


@full
@pytest.mark.parametrize("phase", ["zipping", "building", "rolling_out"])
def test_a_registry_that_is_killed_in_a_phase(make: Make, registry: Bundled, phase: str) -> None:
    app = make(f"away-{phase}")
    app.session.run("head -c 80000000 /dev/urandom > large.bin; echo survived > index.html")
    build = app.start()
    until(f"it is {phase}", lambda: app.build(build)["status"] == phase, seconds=240, every=0.02)
    registry.kill()
    found = app.ended(build, seconds=180)
    print(f"{phase}: {found['status']}, {found['message']}, phases {found['phases']}")
    assert found["status"] == "succeeded", found["message"]
    app.until_page("survived")


@full
def test_thirty_deploys_leave_the_disk_as_two_do(make: Make, registry: Bundled, kubectl: Kubectl) -> None:
    app, size = make("thirty"), 2_000_000
    registry.restart()
    before = registry.size()
    builds = _deploy_often(app, kubectl, 30, size=size)
    kept = sorted(build.replace("_", "-") for build in builds[-LIMIT:])
    until(
        "what is older is deleted",
        lambda: all(tags == kept for tags in _left(registry.view, app, builds).values()),
        seconds=240,
        every=1,
    )
    full_size = registry.size()
    app.session.run("head -c 60000000 /dev/urandom > data.bin; echo amid the collection > index.html")
    build = app.start()
    until("it is under way", lambda: app.build(build)["status"] == "building", seconds=240, every=0.02)
    registry.restart()
    last = app.ended(build, seconds=180)
    assert last["status"] == "succeeded", last["message"]
    app.until_page("amid the collection")
    registry.restart()
    after = registry.size()
    print(f"KiB before {before}, after 30 deploys {full_size}, after the collection {after}; {registry.log()}")
    assert full_size - before > 30 * 2 * size / 1024 * 0.9, "each deploy stores a source and a layer"
    least = (size + 60_000_000) * 2 / 1024
    assert least * 0.9 < after - before < least * 1.5
    for revision in app.get()["revisions"]:
        assert registry.view.is_whole(f"demo/{app.name}", revision["image"].rpartition("@")[2])
