from __future__ import annotations

from typing import Any

import pytest
from codesessions_crds.apikey import APIKey, Scope
from codesessions_crds.app import App
from codesessions_crds.build import Build, BuildPhase, Engine
from codesessions_crds.codesession import CodeSession, Phase, State
from codesessions_crds.meta import Resource
from pydantic import ValidationError


def session(**spec: Any) -> CodeSession:
    return CodeSession.model_validate({"metadata": {"name": "cs-a"}, "spec": {"projectName": "p", **spec}})


def test_what_is_absent_has_the_contracts_defaults() -> None:
    spec = session().spec
    assert (spec.state, spec.user_id, spec.workspace) == (State.RUNNING, "", None)
    assert (spec.start_timeout_seconds, spec.max_duration_seconds, spec.ttl_seconds_after_finished) == (120, 0, 604800)


def test_it_is_written_as_it_was_read() -> None:
    workspace = {
        "image": "registry/x:1",
        "shell": ["/bin/bash", "-l"],
        "env": [{"name": "A", "value": "b"}],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": 1, "memory": "1Gi"}},
        "storage": {"size": "1Gi", "storageClassName": "fast", "ephemeral": False},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
    }
    written = session(workspace=workspace).spec.to_dict()
    assert written["workspace"] == workspace
    assert written["startTimeoutSeconds"] == 120
    assert "nodeSelector" not in written["workspace"]


def test_fields_of_a_later_version_are_dropped() -> None:
    assert "later" not in session(later=1).spec.to_dict()


@pytest.mark.parametrize("value", ["1", "500m", "1Gi", "0.5", ".5", "1e3", "2", 2, 0, "128Mi", "1k"])
def test_quantities(value: str | int) -> None:
    found = session(workspace={"storage": {"size": value}}).spec.workspace
    assert found is not None
    assert found.storage is not None
    assert found.storage.size == value


@pytest.mark.parametrize("value", ["", "x", "-1", -1, "1 Gi", "1GB", "1gi", "Gi", "1Gi\n", "1" * 33])
def test_what_is_no_quantity(value: str | int) -> None:
    with pytest.raises(ValidationError):
        session(workspace={"storage": {"size": value}})


@pytest.mark.parametrize(
    "spec",
    [
        {"projectName": ""},
        {"projectName": "p" * 129},
        {"userId": "u" * 129},
        {"state": "Paused"},
        {"startTimeoutSeconds": 1},
        {"maxDurationSeconds": -1},
        {"workspace": {"runAsUser": 0}},
        {"workspace": {"shell": []}},
        {"workspace": {"env": [{"name": "1A"}]}},
    ],
)
def test_what_the_model_refuses(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        session(**spec)


def test_only_completed_and_failed_are_the_end() -> None:
    assert {phase for phase in Phase if phase.finished} == {Phase.COMPLETED, Phase.FAILED}


def test_an_api_key_resource() -> None:
    spec = {"hash": "0" * 64, "scopes": ["code-sessions:read"], "userId": "user_1"}
    key = APIKey.model_validate({"spec": spec}).spec
    assert (key.scopes, key.disabled, key.expires_at) == ([Scope.READ], False, None)
    assert isinstance(key, Resource)
    refused: list[dict[str, Any]] = [{"hash": "0" * 63}, {"scopes": []}, {"scopes": ["all"]}, {"userId": ""}]
    for wrong in refused:
        with pytest.raises(ValidationError):
            APIKey.model_validate({"spec": {**spec, **wrong}})


def test_an_app_and_a_build_have_the_contracts_defaults() -> None:
    app = App.model_validate({"spec": {"sessionName": "cs-a"}}).spec
    assert (app.port, app.replicas, app.revision_history_limit, app.rollout_timeout_seconds) == (8080, 1, 5, 300)
    build = Build.model_validate({"spec": {"appName": "app-a", "sessionName": "cs-a"}}).spec
    assert (build.engine, build.deadline_seconds, build.cancelled) == (Engine.AUTO, 1200, False)


def test_only_four_phases_end_a_build() -> None:
    ends = {BuildPhase.SUCCEEDED, BuildPhase.FAILED, BuildPhase.CANCELLED, BuildPhase.SUPERSEDED}
    assert {phase for phase in BuildPhase if phase.finished} == ends


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "nginx:1"},
        {"source": "sha256:abc"},
        {"sessionName": "abc"},
        {"sessionName": "cs-a", "port": 80},
        {"sessionName": "cs-a", "host": "a_b.example.com"},
        {"sessionName": "cs-a", "revision": 0},
    ],
)
def test_what_an_app_cannot_be(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        App.model_validate({"spec": spec})
