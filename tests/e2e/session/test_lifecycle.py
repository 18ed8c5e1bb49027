"""A session from its creation to its end, as a person or an agent lives it."""

from __future__ import annotations

import json

from codesessions_dev.client import Client
from support.kubectl import Kubectl
from support.session import Sessions, ready, until


def test_created_by_rest_it_runs_what_is_typed_and_ends_on_delete(
    client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create("life")
    found = session.get()
    assert found["status"] == "running"
    assert found["ptyEndpoint"].endswith(f"/{session.id}")
    assert session.run("echo $((6*7))") == "42"
    assert client.call("DELETE", session.path) == (204, {})
    assert session.get()["status"] == "completed"
    kubectl.wait(f"pod/{session.pod}", "delete")
    assert session.get()["projectName"] == "life"


def test_created_by_kubectl_alone_it_is_ready_and_readable_by_rest(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.apply("cs-bykubectl", projectName="by kubectl", userId="someone")
    kubectl.wait(f"codesession/{session.name}", "condition=Ready")
    found = session.get()
    assert (found["id"], found["projectName"], found["userId"]) == ("cs_bykubectl", "by kubectl", "someone")
    assert session.run("pwd") == "/workspace"


def test_the_shell_leaving_completes_the_session_with_its_exit_code(sessions: Sessions) -> None:
    session = sessions.create("leaves")
    session.type("exit 7\n")
    found = session.until_phase("completed")
    assert found["exitCode"] == 7
    assert session.resource()["status"]["exitCode"] == 7


def test_files_and_numbering_survive_a_deleted_pod(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("survivor")
    session.run("echo precious > kept.txt")
    last = session.seen
    before = session.resource()["status"]["pod"]["uid"]
    kubectl("delete", "pod", session.pod, "--wait=false")
    until(
        "another pod runs",
        lambda: (
            ready(session.resource()).get("status") == "True" and session.resource()["status"]["pod"]["uid"] != before
        ),
    )
    session.until_known()
    assert session.run("cat kept.txt") == "precious"
    assert session.seen > last
    assert session.seqs == list(range(session.seqs[0], session.seqs[0] + len(session.seqs)))
    assert session.resource()["status"]["restarts"] == 1


def test_deleting_the_resource_takes_every_child_with_it(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("children")
    kubectl("delete", "codesession", session.name, "--wait=true")
    for kind in ("pod", "secret", "pvc"):
        until(f"the {kind} is gone", lambda kind=kind: kubectl.get(kind, session.pod) is None)


def test_what_kubectl_shows_tells_the_story(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("story")
    table = kubectl("get", "csess", session.name)
    assert "story" in table
    assert "Running" in table
    assert "projectName" in kubectl("explain", "codesession.spec")
    assert "Events:" in kubectl("describe", "csess", session.name)


def test_state_completed_set_by_kubectl_stops_the_workspace_and_is_final(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("stopped")
    kubectl("patch", "csess", session.name, "--type=merge", "-p", json.dumps({"spec": {"state": "Completed"}}))
    session.until_phase("completed")
    kubectl.wait(f"pod/{session.pod}", "delete")
    again = kubectl.tries(
        "patch", "csess", session.name, "--type=merge", "-p", json.dumps({"spec": {"state": "Running"}})
    )
    assert again.returncode != 0
    assert "final" in again.stderr
