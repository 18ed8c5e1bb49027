"""The operator is killed in each phase of a deploy, and the deploy ends well all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from support.app import App
from support.kubectl import Kubectl
from support.session import until

Make = Callable[[str], App]


@pytest.mark.parametrize("phase", ["zipping", "building", "rolling_out"])
def test_an_operator_that_is_killed_goes_on(make: Make, kubectl: Kubectl, phase: str) -> None:
    system = replace(kubectl, namespace="codesessions-system")
    app = make(f"killed-{phase}")
    app.session.run("head -c 80000000 /dev/urandom > large.bin; echo survived > index.html")
    build = app.start()
    until(f"it is {phase}", lambda: app.build(build)["status"] == phase, seconds=120, every=0.02)
    system("delete", "pod", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force")
    found = app.ended(build, seconds=300)
    assert found["status"] == "succeeded", found["message"]
    app.until_page("survived")


def test_a_build_pod_that_is_deleted_is_made_again(make: Make, kubectl: Kubectl) -> None:
    app = make("lost")
    app.session.run("head -c 80000000 /dev/urandom > large.bin; echo again > index.html")
    build = app.start()
    name = build.replace("_", "-")
    until("its pod is there", lambda: kubectl.get("pod", name), seconds=120, every=0.02)
    kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    found = app.ended(build, seconds=300)
    assert found["status"] == "succeeded", found["message"]
    app.until_page("again")
