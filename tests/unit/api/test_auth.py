from __future__ import annotations

from typing import Any, cast

import pytest
from codesessions_api.auth import authenticate
from codesessions_api.caches import Caches, trim_key, trim_namespace, trim_session
from codesessions_api.problems import Problem
from codesessions_crds.apikey import Scope
from codesessions_crds.credentials import hash_api_key
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z
KEY = "csk_abcdefgh_secret"


def caches(*keys: dict[str, Any], labelled: tuple[str, ...] = ("demo",)) -> Caches:
    found = Caches(cast("Any", object()))
    for number, key in enumerate(keys):
        key["metadata"].setdefault("resourceVersion", str(number + 1))
        found.keys.put(key)
    for name in labelled:
        labels = {"codesessions.dev/organization": f"org_{name}"}
        found.namespaces.put({"metadata": {"name": name, "labels": labels, "resourceVersion": "1"}})
    return found


def api_key(text: str = KEY, *, namespace: str = "demo", name: str = "csk-a", created: str = "1", **spec: Any) -> Any:
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"hash": hash_api_key(text), "scopes": [], "userId": "u1", **spec}}


def refused(text: str | None, known: Caches) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        authenticate(text, known, now=NOW)
    return caught.value.status, caught.value.code


def test_a_key_says_who_and_what() -> None:
    caller = authenticate(KEY, caches(api_key(scopes=["code-sessions:read"])), now=NOW)
    assert (caller.user_id, caller.organization_id, caller.namespace) == ("u1", "org_demo", "demo")
    caller.require(Scope.READ)
    assert caller.terminal_scope == ("read",)
    with pytest.raises(Problem) as caught:
        caller.require(Scope.WRITE)
    assert caught.value.code == "missing_scope"


@pytest.mark.parametrize(
    "spec",
    [
        {"disabled": True},
        {"expiresAt": "2023-11-14T22:13:20Z"},
        {"expiresAt": "2023-11-15T00:13:19+02:00"},
        {"expiresAt": "soon"},
    ],
)
def test_a_key_that_is_over_is_refused(spec: dict[str, Any]) -> None:
    assert refused(KEY, caches(api_key(**spec))) == (401, "invalid_api_key")


def test_a_key_that_is_being_deleted_is_refused() -> None:
    key = api_key()
    key["metadata"]["deletionTimestamp"] = "2023-11-14T22:13:20Z"
    assert refused(KEY, caches(key)) == (401, "invalid_api_key")


@pytest.mark.parametrize("expires", ["2023-11-14T22:13:21Z", "2023-11-14T22:13:20.5Z", "", None])
def test_a_key_that_is_not_over_works(expires: str | None) -> None:
    assert authenticate(KEY, caches(api_key(expiresAt=expires)), now=NOW).user_id == "u1"


def test_no_key_and_another_key() -> None:
    assert refused(None, caches(api_key())) == (401, "missing_api_key")
    assert refused("", caches(api_key())) == (401, "missing_api_key")
    assert refused(KEY + " ", caches(api_key())) == (401, "invalid_api_key")


def test_a_namespace_must_be_an_organisation() -> None:
    assert refused(KEY, caches(api_key(), labelled=())) == (403, "organization_missing")


def test_a_copy_of_a_hash_takes_nothing_over() -> None:
    first = api_key(namespace="demo", created="2023-01-01T00:00:00Z")
    copy = api_key(namespace="evil", created="2023-01-02T00:00:00Z", userId="evil")
    for order in ((first, copy), (copy, first)):
        known = caches(*({**each} for each in order), labelled=("demo", "evil"))
        assert authenticate(KEY, known, now=NOW).organization_id == "org_demo"


def test_a_revoked_original_is_not_replaced_by_its_copy() -> None:
    first = api_key(namespace="demo", created="2023-01-01T00:00:00Z", disabled=True)
    copy = api_key(namespace="evil", created="2023-01-02T00:00:00Z")
    assert refused(KEY, caches(first, copy, labelled=("demo", "evil"))) == (401, "invalid_api_key")


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_is_a_key_or_none(text: str) -> None:
    status, _ = refused(text, caches(api_key()))
    assert status == 401


def test_the_caches_keep_what_is_read_and_no_more() -> None:
    secret = {"env": [{"name": "A", "value": "s3cret"}]}
    session = {
        "metadata": {"name": "cs-a", "namespace": "demo", "annotations": {"big": "s3cret"}},
        "spec": {"projectName": "p", "workspace": secret},
        "status": {"phase": "Running", "pod": {"ip": "10.0.0.1", "node": "s3cret"}, "conditions": [{"type": "Other"}]},
    }
    assert "s3cret" not in str(trim_session(session))
    assert trim_session(session)["status"] == {"phase": "Running", "conditions": [], "pod": {"ip": "10.0.0.1"}}
    assert trim_session({"metadata": {"name": "cs-a"}})["spec"] == {}
    assert trim_key({"metadata": {"name": "k", "labels": {"a": "b"}}}) == {"metadata": {"name": "k"}, "spec": {}}
    assert trim_namespace({"metadata": {"name": "n", "labels": {"a": "b"}}})["metadata"]["labels"] == {}
