"""The output of a session that has ended: to the byte what it was, whatever became of its pod."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from support.kubectl import Kubectl
from support.session import Session, Sessions, until

Object = dict[str, Any]
COLOURS = "printf '\\033[31mr\\303\\274d\\033[0m \\377\\n'"
HOME = "codesessions-system"


@pytest.fixture(scope="session")
def home(access: Access) -> Kubectl:
    """kubectl where the product runs."""
    return Kubectl(access.kubeconfig, HOME)


def read_all(client: Client, session: Session, *, raw: bool = False) -> tuple[list[Object], Object]:
    """Every chunk, page after page, and the last answer."""
    chunks: list[Object] = []
    after = 0
    while True:
        more = "&raw=base64" if raw else ""
        answer = client.must("GET", f"{BASE}/{session.id}/output?afterSeq={after}{more}")
        if not answer["chunks"]:
            return chunks, answer
        chunks += answer["chunks"]
        after = chunks[-1]["seq"]


def kept(client: Client, session: Session) -> tuple[list[Object], Object]:
    """As `read_all` of a session without a pod, once the API has heard where its transcript is."""
    path = f"{BASE}/{session.id}/output?limit=1"
    until(lambda: f"its output is there: {client.call('GET', path)}", lambda: client.call("GET", path)[0] == 200)
    return read_all(client, session)


def archived(session: Session, *, seconds: float = 240) -> Object:
    """Wait until its transcript is in the registry; returns the reference."""

    def probe() -> Object | None:
        found: Object | None = session.resource()["status"].get("transcript")
        return found

    try:
        found: Object = until(f"the transcript of {session.name} is stored", probe, seconds=seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; {json.dumps(session.resource()['status'], indent=1)}") from error
    return found


def condition(session: Session) -> Object:
    conditions = session.resource()["status"].get("conditions") or []
    found: Object = next((each for each in conditions if each["type"] == "Archived"), {})
    return found


def digest(chunks: list[Object]) -> str:
    return hashlib.sha256("".join(each["text"] for each in chunks).encode()).hexdigest()


def is_gone(kubectl: Kubectl, session: Session, *, seconds: float = 240) -> None:
    until(f"pod {session.pod} is gone", lambda: kubectl.get("pod", session.pod) is None, seconds=seconds)


def test_what_was_shown_is_shown_after_the_end_to_the_byte(
    client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create()
    session.run(f"for i in $(seq 2000); do echo line $i; done; {COLOURS}")
    before = {raw: read_all(client, session, raw=raw)[0] for raw in (False, True)}
    client.must("DELETE", f"{BASE}/{session.id}")
    reference = archived(session)
    is_gone(kubectl, session)
    assert condition(session)["status"] == "True"
    kept(client, session)
    for raw, seen in before.items():
        after, last = read_all(client, session, raw=raw)
        assert after[: len(seen)] == seen
        assert [each["seq"] for each in after] == list(range(1, len(after) + 1))
        assert last["lastSeq"] == reference["lastSeq"] == len(after)
        assert last["exit"] is not None
    waited = client.must("GET", f"{BASE}/{session.id}/output?afterSeq={len(after)}", prefer="wait=30")
    assert waited["exit"] == last["exit"]
    assert condition(session)["reason"] == "Archived"


def test_a_shell_that_ends_by_itself_leaves_its_last_words_and_its_code(
    client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create()
    session.type("echo last words; exit 7\n")
    session.until_phase("completed")
    archived(session)
    is_gone(kubectl, session)
    chunks, last = kept(client, session)
    assert "last words" in "".join(each["text"] for each in chunks)
    assert last["exit"] == {"code": 7, "signal": None}


def test_a_large_transcript(client: Client, kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create()
    session.type("base64 -w 120 /dev/urandom | head -c 20000000; echo; echo all''done\n")
    session.read_until("alldone")
    before, _ = read_all(client, session)
    client.must("DELETE", f"{BASE}/{session.id}")
    reference = archived(session)
    assert reference["size"] > 20_000_000
    is_gone(kubectl, session)
    after, _ = kept(client, session)
    assert digest(after[: len(before)]) == digest(before)


def test_a_pod_that_was_killed_before_is_read_from_its_volume(
    client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create()
    session.run("echo before the fall")
    before, _ = read_all(client, session)
    kubectl("patch", "codesession", session.name, "--type=merge", "-p", '{"spec":{"state":"Completed"}}')
    kubectl("delete", "pod", session.pod, "--grace-period=0", "--force", "--wait=false")
    archived(session)
    is_gone(kubectl, session)
    after, last = kept(client, session)
    assert after[: len(before)] == before
    assert last["exit"] is not None


def test_ephemeral_storage_is_stored_in_time_and_lost_with_its_pod(
    client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    workspace = {"storage": {"ephemeral": True}}
    good = sessions.apply("cs-ephemeral1", workspace=workspace)
    lost = sessions.apply("cs-ephemeral2", workspace=workspace)
    for each in (good, lost):
        each.until_phase("running")
        each.run("echo here")
    client.must("DELETE", f"{BASE}/{good.id}")
    archived(good)
    is_gone(kubectl, good)
    assert "here" in "".join(each["text"] for each in kept(client, good)[0])
    kubectl("delete", "pod", lost.pod, "--grace-period=0", "--force", "--wait=false")
    client.must("DELETE", f"{BASE}/{lost.id}")
    until("it is said that it is lost", lambda: condition(lost).get("reason") in {"TranscriptLost", "Archived"})
    if condition(lost)["reason"] == "TranscriptLost":  # the operator may have been quick enough to make another pod
        path = f"{BASE}/{lost.id}/output"
        until("the API has heard of it", lambda: client.call("GET", path)[1].get("code") == "output_gone")
        status, answer = client.call("GET", path)
        assert status == 410
        assert "lost" in answer["detail"]


def test_a_session_that_never_ran_has_no_output_and_says_so(
    client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.apply("cs-neverran", workspace={"image": "localhost/codesessions/nosuch:1"})
    session.until_reason("ImagePullFailed")
    client.must("DELETE", f"{BASE}/{session.id}")
    until("it has ended", lambda: condition(session).get("reason") == "NothingToArchive")
    is_gone(kubectl, session)
    _, answer = kept(client, session)
    assert (answer["chunks"], answer["exit"]) == ([], {"code": None, "signal": None})


def test_an_operator_that_is_killed_in_between(
    client: Client, kubectl: Kubectl, home: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create()
    session.run("seq 1000")
    before, _ = read_all(client, session)
    client.must("DELETE", f"{BASE}/{session.id}")
    home("delete", "pod", "-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force", "--wait=false")
    archived(session)
    is_gone(kubectl, session)
    assert kept(client, session)[0][: len(before)] == before


class Registry:
    """What the operator is told of the registry."""

    OPERATOR = "deployment/codesessions-operator"

    def __init__(self, home: Kubectl) -> None:
        self._home = home
        path = "{.spec.template.spec.containers[0].env[?(@.name=='CODESESSIONS_REGISTRY_URL')].value}"
        self.url = home("get", self.OPERATOR, "-o", f"jsonpath={path}").strip()

    def at(self, url: str) -> None:
        self._home("set", "env", self.OPERATOR, f"CODESESSIONS_REGISTRY_URL={url}")
        self._home("rollout", "status", self.OPERATOR, "--timeout=300s")


@pytest.fixture
def registry(home: Kubectl) -> Iterator[Registry]:
    """As it was, afterwards."""
    found = Registry(home)
    yield found
    found.at(found.url)


def test_a_registry_that_is_down_is_waited_for(
    client: Client, kubectl: Kubectl, sessions: Sessions, registry: Registry
) -> None:
    session = sessions.create()
    session.run("echo patience")
    before, _ = read_all(client, session)
    registry.at("http://127.0.0.1:9/nobody")
    client.must("DELETE", f"{BASE}/{session.id}")
    away = lambda found: found if found.get("reason") == "RegistryUnavailable" else None  # noqa: E731
    assert "tried again" in until("it is said", lambda: away(condition(session)))["message"]
    status, answer = client.call("GET", f"{BASE}/{session.id}/output")
    assert status == 200 or answer["code"] == "output_not_stored_yet"
    registry.at(registry.url)
    archived(session)
    is_gone(kubectl, session)
    assert kept(client, session)[0][: len(before)] == before
