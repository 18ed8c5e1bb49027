"""Two of each program for as long as these tests run, as values-ha.yaml has it on more than one node."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from codesessions_dev import install
from codesessions_dev.envfile import Access
from support.helm import CHART, helm
from support.kubectl import Kubectl

COMPONENTS = ("operator", "api", "gateway")
Upgrade = Callable[..., None]


@pytest.fixture(scope="session")
def system(access: Access) -> Kubectl:
    """kubectl in the namespace of the three programs."""
    return Kubectl(access.kubeconfig, install.NAMESPACE)


@pytest.fixture
def upgrade(access: Access) -> Iterator[Upgrade]:
    """`helm upgrade` of everything, with two replicas of each; afterwards the release is as it was."""
    words = (f"--kubeconfig={access.kubeconfig}", f"--namespace={install.NAMESPACE}")
    answer = helm("get", "values", install.RELEASE, *words, "--output=json")
    assert answer.returncode == 0, answer.stderr
    before: dict[str, Any] = json.loads(answer.stdout)

    def run(values: dict[str, Any]) -> None:
        more = ("--wait", "--timeout=400s", "--take-ownership", "--force-conflicts")
        done = helm("upgrade", install.RELEASE, CHART, *words, *more, values=values)
        assert done.returncode == 0, done.stderr

    def roll(**more: Any) -> None:
        """New pods of every program, and more values."""
        mark = {"podAnnotations": {"rolled": secrets.token_hex(4)}}
        run({**before, **more, **{name: {**before.get(name, {}), "replicas": 2, **mark} for name in COMPONENTS}})

    yield roll
    run(before)
