"""A workspace in a user namespace of its own (KEP-127)."""

from __future__ import annotations

import secrets

import pytest
from support.kubectl import Kubectl
from support.session import Sessions


@pytest.fixture
def nodes_can(kubectl: Kubectl) -> None:
    for node in kubectl.list("nodes"):
        handlers = node["status"].get("runtimeHandlers") or []
        if not any((each.get("features") or {}).get("userNamespaces") for each in handlers):
            pytest.skip(f"node {node['metadata']['name']} does not say that its runtime can make user namespaces")


@pytest.mark.usefixtures("nodes_can")
def test_its_user_is_another_on_the_node_and_owns_its_files(sessions: Sessions) -> None:
    session = sessions.apply(f"cs-{secrets.token_hex(5)}", workspace={"hostUsers": False})
    session.until_reason("Running")
    session.until_phase("running")
    inside, outside, count = map(int, session.run("cat /proc/self/uid_map").split())
    assert (inside, count) == (0, 65536)
    assert outside >= 65536
    assert session.run("id -u; id -g; touch mine; stat -c %u:%g mine") == "1000\n1000\n1000:1000"
