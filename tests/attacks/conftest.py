"""Two organisations of the tests' own, an account of each kind of tenant, and a session that is attacked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from codesessions_crds.credentials import NewKey, new_api_key
from codesessions_crds.names import ORGANIZATION_LABEL
from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from support.cluster import known_access, mark
from support.kubectl import Kubectl
from support.session import Session, Sessions, until

FOLDER = Path(__file__).parent
API = "codesessions.dev/v1alpha1"
READ, WRITE, DEPLOY = (f"code-sessions:{each}" for each in ("read", "write", "deploy"))
RED, BLUE, GREEN = "attack-red", "attack-blue", "attack-green"
IMAGE = "registry.invalid/nobody/nothing@sha256:" + "0" * 64


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs the cluster, and has the time that one may take on a crowded machine."""
    for item in mark(items, FOLDER):
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))


def apikey(key: NewKey, scopes: list[str], **spec: Any) -> dict[str, Any]:
    body = {"hash": key.hash, "scopes": scopes, "userId": "user_attack", **spec}
    return {"apiVersion": API, "kind": "APIKey", "metadata": {"name": f"csk-{key.id}"}, "spec": body}


@dataclass
class Organization:
    """A namespace, a key with all scopes, and one with each scope alone."""

    kubectl: Kubectl
    access: Access
    alone: dict[str, str]
    expired: str
    revoked: str

    @property
    def client(self) -> Client:
        return Client(self.access)


@pytest.fixture(scope="session")
def access() -> Access:
    return known_access()


def organization(access: Access, name: str) -> Organization:
    kubectl = Kubectl(access.kubeconfig, name)
    labels = {ORGANIZATION_LABEL: f"org_{name}", "pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    full, expired, revoked = new_api_key(), new_api_key(), new_api_key()
    alone = {scope: new_api_key() for scope in (READ, WRITE, DEPLOY)}
    scopes = [READ, WRITE, DEPLOY]
    kubectl.apply(
        apikey(full, scopes),
        apikey(expired, scopes, expiresAt="2020-01-01T00:00:00Z"),
        apikey(revoked, scopes, disabled=True),
        *(apikey(key, [scope]) for scope, key in alone.items()),
    )
    found = Organization(
        kubectl,
        replace(access, api_key=full.text),
        {scope: key.text for scope, key in alone.items()},
        expired.text,
        revoked.text,
    )
    until("the key is known", lambda: found.client.call("GET", BASE)[0] == 200, every=0.2)
    others = [Client(replace(access, api_key=key)) for key in found.alone.values()]
    until("the others are known", lambda: all(each.call("GET", BASE)[0] != 401 for each in others), every=0.2)
    return found


@pytest.fixture(scope="session")
def organizations(access: Access, _nothing_is_left: None) -> Iterator[tuple[Organization, Organization]]:
    try:
        yield organization(access, RED), organization(access, BLUE)
    finally:
        Kubectl(access.kubeconfig, "default")("delete", "namespace", "--wait=false", "--ignore-not-found", RED, BLUE)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left(access: Access) -> None:
    """Namespaces of a run before, which may be going still."""
    kubectl = Kubectl(access.kubeconfig, "default")
    kubectl("delete", "namespace", "--ignore-not-found", "--timeout=600s", RED, BLUE, GREEN)


@pytest.fixture(scope="session")
def red(organizations: tuple[Organization, Organization]) -> Organization:
    """Who is attacked."""
    return organizations[0]


@pytest.fixture(scope="session")
def blue(organizations: tuple[Organization, Organization]) -> Organization:
    """Who attacks."""
    return organizations[1]


@pytest.fixture(scope="session")
def victim(red: Organization) -> Session:
    """A session of red that every attack leaves as it is."""
    return Sessions(red.client, red.kubectl).create("victim")


@pytest.fixture(scope="session")
def hostile(blue: Organization) -> Session:
    """A session of blue whose shell is the attacker's."""
    return Sessions(blue.client, blue.kubectl).create("hostile")


def lives(session: Session) -> None:
    """It runs, in the pod it always had, and its shell answers."""
    found = session.resource()["status"]
    assert (found["phase"], found.get("restarts", 0)) == ("Running", 0)
    assert session.run(f"echo alive-{time.monotonic_ns()}").startswith("alive-")
