"""`helm test` against the release as it runs."""

from __future__ import annotations

import base64
import secrets

import pytest
from codesessions_dev import install
from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from support.helm import helm
from support.kubectl import Kubectl
from support.session import Sessions, until

from .conftest import Upgrade


@pytest.mark.timeout(900)
def test_it_makes_a_session_types_and_ends_it(
    access: Access, client: Client, system: Kubectl, sessions: Sessions, upgrade: Upgrade
) -> None:
    name = f"selftest-{secrets.token_hex(3)}"
    data = {"api-key": base64.b64encode(access.api_key.encode()).decode()}
    system.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})
    known = {each["id"] for each in client.must("GET", f"{BASE}?limit=200")["items"]}
    try:
        upgrade(helmTest={"keySecret": name})
        words = (f"--kubeconfig={access.kubeconfig}", f"--namespace={install.NAMESPACE}", "--timeout=240s")
        tested = helm("test", install.RELEASE, *words)
        assert tested.returncode == 0, tested.stdout + tested.stderr + system.tries("logs", "codesessions-test").stdout
    finally:
        system("delete", "secret", name)

    def new() -> list[dict[str, str]]:
        """The API that is asked now need not be the one that made it."""
        found = client.must("GET", f"{BASE}?limit=200")["items"]
        return [each for each in found if each["projectName"] == "helm test" and each["id"] not in known]

    (made,) = until("its session is listed", new)
    sessions.adopt(made["id"]).until_phase("completed", seconds=120)
