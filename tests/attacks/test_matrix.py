"""Every operation of the API's document with every kind of wrong key; a new one is tried by itself."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from attacks.conftest import API, DEPLOY, IMAGE, READ, WRITE, Organization, lives
from codesessions_dev.client import Client
from support.session import Session, until

METHODS = ("get", "post", "put", "patch", "delete")
Object = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One call, with a body of the form that the document asks for."""

    method: str
    path: str
    body: Object | None

    def at(self, ids: dict[str, str]) -> str:
        """The path about an object of this kind."""
        kind = next((kind for kind in ids if self.path.startswith(kind)), "")
        assert "{" not in self.path or kind, f"{self.path}: say here which object a new endpoint is about"
        return self.path.replace("{id}", ids.get(kind, ""))


def example(schema: Object, document: Object) -> Any:
    """A value that a schema takes."""
    if "$ref" in schema:
        return example(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "examples" in schema or "example" in schema:
        return schema.get("example", (schema.get("examples") or [None])[0])
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if kind == "object":
        wanted = schema.get("required") or []
        return {name: example(schema["properties"][name], document) for name in wanted}
    return {"integer": schema.get("minimum", 1), "string": "x", "boolean": False, "array": []}.get(str(kind))


def operations(document: Object) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                content = (item[method].get("requestBody") or {}).get("content") or {}
                schema = (content.get("application/json") or {}).get("schema")
                yield Operation(method.upper(), path, None if schema is None else example(schema, document))


@pytest.fixture(scope="module")
def document(red: Organization) -> Object:
    tls = ssl.create_default_context(cafile=str(red.access.ca))
    with urllib.request.urlopen(f"{red.access.url}/openapi.json", context=tls, timeout=60) as answer:  # noqa: S310
        found: Object = json.load(answer)
    return found


@pytest.fixture(scope="module")
def calls(document: Object) -> list[Operation]:
    found = list(operations(document))
    assert len(found) >= 18
    return found


@pytest.fixture(scope="module")
def ids(red: Organization, victim: Session) -> dict[str, str]:
    """Red's objects, by the beginning of the paths that are about them."""
    app = {
        "apiVersion": API,
        "kind": "App",
        "metadata": {"name": "app-victim"},
        "spec": {"image": IMAGE, "replicas": 0},
    }
    spec = {"appName": "app-victim", "sessionName": victim.name, "cancelled": True}
    build = {"apiVersion": API, "kind": "Build", "metadata": {"name": "bld-victim"}, "spec": spec}
    red.kubectl.apply(app, build)
    found = {"/api/v1/code-sessions": victim.id, "/api/v1/apps": "app_victim", "/api/v1/builds": "bld_victim"}

    def known() -> bool:
        return all(red.client.call("GET", f"{kind}/{identity}")[0] == 200 for kind, identity in found.items())

    until("red's objects are known", known, every=0.2)
    return found


def ask(organization: Organization, key: str, call: Operation, ids: dict[str, str]) -> tuple[int, Object]:
    client = Client(replace(organization.access, api_key=key))
    return client.call(call.method, call.at(ids), call.body)


def test_no_operation_is_open_without_a_good_key(
    red: Organization, calls: list[Operation], ids: dict[str, str]
) -> None:
    good = red.access.api_key
    wrong = {
        "none": "",
        "of another form": "letmein",
        "unknown": good[:-1] + ("a" if good[-1] != "a" else "b"),
        "cut": good[:-8],
        "longer": good + "0",
        "hash": red.kubectl.list("apikey")[0]["spec"]["hash"],
        "wildcard": "*",
        "long": "csk_" + "a" * 4000,
        "expired": red.expired,
        "revoked": red.revoked,
    }
    for call in calls:
        for name, key in wrong.items():
            status, answer = ask(red, key, call, ids)
            assert status == 401, f"{call.method} {call.path} with a key that is {name}: {status} {answer}"
            assert answer["code"] in {"missing_api_key", "invalid_api_key"}


def test_nothing_of_another_organization_is_there(
    red: Organization, blue: Organization, calls: list[Operation], ids: dict[str, str], victim: Session
) -> None:
    names = {*ids.values(), victim.name, victim.pod}
    for call in calls:
        if "{" in call.path:
            status, answer = ask(blue, blue.access.api_key, call, ids)
            assert status == 404, f"{call.method} {call.path}: {status} {answer}"
            assert answer["code"].endswith("_not_found")
            nowhere = {kind: f"{identity[:-1]}0" for kind, identity in ids.items()}
            _, other = ask(blue, blue.access.api_key, call, nowhere)
            assert {**answer, "requestId": "", "detail": ""} == {**other, "requestId": "", "detail": ""}
        elif call.method == "GET":
            status, answer = ask(blue, blue.access.api_key, call, ids)
            assert status == 200
            assert not [name for name in names if name in json.dumps(answer)]
    lives(victim)
    assert red.client.call("GET", f"/api/v1/apps/{ids['/api/v1/apps']}")[0] == 200


def test_every_operation_asks_for_a_scope(red: Organization, calls: list[Operation], ids: dict[str, str]) -> None:
    """A key with one scope alone is refused wherever another is asked for; what each asks for is written here."""
    deploys = ("/deploy", "/rollback", "/cancel")
    for call in calls:
        writes = WRITE if call.path.startswith("/api/v1/code-sessions") and not call.path.endswith(deploys) else DEPLOY
        needed = READ if call.method == "GET" or call.path.endswith("/tickets") else writes
        for scope, key in red.alone.items():
            if scope == needed:
                continue  # what it does then is for other tests
            status, answer = ask(red, key, call, ids)
            assert (status, answer.get("code")) == (403, "missing_scope"), f"{call.method} {call.path} with {scope}"
