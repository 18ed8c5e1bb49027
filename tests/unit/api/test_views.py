from typing import Any

import pytest
from codesessions_api import views
from codesessions_api.problems import Problem


def resource(state: str = "Running", **status: Any) -> dict[str, Any]:
    metadata = {"name": "cs-abc123", "namespace": "demo", "creationTimestamp": "2025-02-01T14:25:01Z"}
    return {"metadata": metadata, "spec": {"projectName": "p", "userId": "u", "state": state}, "status": status}


@pytest.mark.parametrize(
    ("state", "phase", "status"),
    [
        ("Running", None, "creating"),
        ("Running", "Creating", "creating"),
        ("Running", "Running", "running"),
        ("Completed", "Running", "completed"),
        ("Completed", None, "completed"),
        ("Completed", "Failed", "failed"),
        ("Running", "Failed", "failed"),
    ],
)
def test_status_says_completed_as_soon_as_it_was_asked_for(state: str, phase: str | None, status: str) -> None:
    assert views.status_of(resource(state, **({"phase": phase} if phase else {}))) == status


def test_every_field_of_the_contract_is_there() -> None:
    view = views.session_view(resource(phase="Running", ptyEndpoint="https://pty/cs_abc123"), "org_demo")
    assert view["id"] == "cs_abc123"
    assert view["workspaceId"] == "ws_abc123"
    assert view["organizationId"] == "org_demo"
    assert view["updatedAt"] == view["createdAt"] == "2025-02-01T14:25:01Z"
    assert view["ptyEndpoint"] == "https://pty/cs_abc123"


def test_a_cursor_is_read_back() -> None:
    assert views.read_cursor(views.make_cursor(resource())) == ("2025-02-01T14:25:01Z", "cs-abc123")


@pytest.mark.parametrize("text", ["", "x", "%%%", "YWJj", "é"])
def test_a_foreign_cursor_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        views.read_cursor(text)
    assert caught.value.status == 422
