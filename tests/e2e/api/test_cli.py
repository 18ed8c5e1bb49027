"""`codesessions` against a real cluster, and the keys it makes against the API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from codesessions_dev.shell import run
from support.kubectl import Kubectl
from support.session import until

PROGRAM = Path(sys.prefix) / "bin" / "codesessions"
ORG = "e2e-cli"
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def command(access: Access) -> Command:
    environment = {**os.environ, "KUBECONFIG": str(access.kubeconfig)}
    return lambda *words: run([PROGRAM, *words], env=environment, check=False)


@pytest.fixture(scope="module")
def organization(command: Command, kubectl: Kubectl) -> Iterator[str]:
    until("the namespace of the last run is gone", lambda: kubectl.get("namespace", ORG) is None)
    assert command("org", "create", ORG).returncode == 0
    yield ORG
    kubectl("delete", "namespace", ORG, "--wait=false")


def make_key(command: Command, *more: str) -> dict[str, Any]:
    done = command("keys", "create", "--org", ORG, "--user", "alice", "-o", "json", *more)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def answers(access: Access, key: str) -> int:
    return Client(replace(access, api_key=key)).call("GET", BASE)[0]


@pytest.mark.usefixtures("organization")
def test_an_organisation_can_be_made_twice_and_is_listed(command: Command) -> None:
    again = command("org", "create", ORG, "-o", "json")
    assert json.loads(again.stdout) == {"namespace": ORG, "organizationId": f"org_{ORG}"}
    listed = json.loads(command("org", "list", "-o", "json").stdout)
    assert {"namespace": ORG, "organizationId": f"org_{ORG}", "quota": {}} in listed


@pytest.mark.usefixtures("organization")
def test_a_key_works_until_it_is_revoked(command: Command, access: Access) -> None:
    key = make_key(command, "--expires-in", "1d", "--description", "for a test")
    until("the key works", lambda: answers(access, key["key"]) == 200)
    (shown,) = [
        each
        for each in json.loads(command("keys", "list", "--org", ORG, "-o", "json").stdout)
        if each["name"] == key["name"]
    ]
    assert (shown["state"], shown["description"], shown["expiresAt"]) == ("valid", "for a test", key["expiresAt"])
    assert key["key"] not in json.dumps(shown)
    assert command("keys", "revoke", key["name"]).returncode == 0
    until("the key is refused", lambda: answers(access, key["key"]) == 401)
    assert " revoked " in command("keys", "list", "--org", ORG).stdout


@pytest.mark.usefixtures("organization")
def test_a_rotated_key_may_what_the_old_one_might(command: Command, access: Access) -> None:
    old = make_key(command, "--scopes", "code-sessions:read")
    first = json.loads(command("keys", "rotate", old["name"], "--overlap", "1h", "-o", "json").stdout)
    until("the new key works", lambda: answers(access, first["key"]) == 200)
    assert answers(access, old["key"]) == 200
    assert Client(replace(access, api_key=first["key"])).call("POST", BASE, {})[1]["code"] == "missing_scope"
    second = json.loads(command("keys", "rotate", first["name"], "--org", ORG, "-o", "json").stdout)
    until("the newest key works", lambda: answers(access, second["key"]) == 200)
    until("the one before is refused", lambda: answers(access, first["key"]) == 401)


@pytest.mark.usefixtures("organization")
def test_a_generated_key_is_applied_by_kubectl(command: Command, access: Access) -> None:
    made = command("keys", "generate", "--user", "bob", "--namespace", ORG)
    Kubectl(access.kubeconfig, ORG).apply(json.loads(made.stdout))
    until("the key works", lambda: answers(access, made.stderr.splitlines()[0]) == 200)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("keys", "create", "--org", "nosuch", "--user", "u"), 1, "codesessions org create"),
        (("keys", "create", "--namespace", "nosuch", "--user", "u"), 1, "not found"),
        (("keys", "revoke", "csk-nosuch"), 1, "nowhere"),
        (("keys", "revoke", "csk-nosuch", "--namespace", "demo"), 1, "not found"),
        (("org", "create", "kube-system"), 1, "cluster itself"),
        (("keys", "create"), 2, "usage:"),
    ],
)
def test_what_cannot_be_is_said(command: Command, words: tuple[str, ...], code: int, said: str) -> None:
    done = command(*words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
