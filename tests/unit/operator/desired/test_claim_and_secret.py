from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from codesessions_operator.desired.claim import claim
from codesessions_operator.desired.common import is_owned, metadata
from codesessions_operator.desired.secret import secret
from support.operator import SETTINGS, session


def test_the_whole_secret() -> None:
    assert secret(session(), bytes(32)) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(session()),
        "immutable": True,
        "stringData": {"workspace-key": "00" * 32},
    }


@pytest.mark.parametrize(
    ("storage", "setting", "size", "storage_class"),
    [
        (None, "", "1Gi", None),
        (None, "slow", "1Gi", "slow"),
        ({"size": "5Gi"}, "slow", "5Gi", "slow"),
        ({"storageClassName": "fast"}, "slow", "1Gi", "fast"),
    ],
)
def test_the_claim(storage: dict[str, Any] | None, setting: str, size: str, storage_class: str | None) -> None:
    asked = session(workspace={"storage": storage}) if storage else session()
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    assert claim(asked, replace(SETTINGS, storage_class=setting)) == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(asked),
        "spec": spec,
    }


def test_ephemeral_storage_claims_nothing() -> None:
    assert claim(session(workspace={"storage": {"ephemeral": True}}), SETTINGS) is None


def test_owned_is_what_the_session_controls() -> None:
    child = {"metadata": metadata(session())}
    assert is_owned(child, "uid-cs")
    assert not is_owned(child, "uid-other")
    assert not is_owned({"metadata": {}}, "uid-cs")
    assert not is_owned({"metadata": {"ownerReferences": [{"uid": "uid-cs"}]}}, "uid-cs")
