"""Keys and tickets for tickets, and what becomes of them when the key is no longer good."""

from __future__ import annotations

import json
from typing import Any

import pytest
from codesessions_api.caches import Caches
from codesessions_api.gateway.admission import Admission
from codesessions_api.gateway.exchange import RENEWABLE_SECONDS, exchange, is_exchange
from codesessions_api.gateway.handshake import Handshake
from codesessions_api.problems import Problem
from codesessions_api.tickets import TICKET_SECONDS, ticket_for
from codesessions_crds.credentials import NewKey, new_api_key, verify_ticket, workspace_key
from support.kube import MemoryKube

MASTER = b"m" * 32
START = 1_000_000.0


class Desk:
    """A gateway's caches with one session, one key, and a clock."""

    def __init__(self) -> None:
        self.now = START
        self.key: NewKey = new_api_key()
        self.caches = Caches(MemoryKube())
        for cache in self.caches.all:
            cache.synced.set()
        self.admission = Admission(self.caches, MASTER, frozenset(), clock=lambda: self.now)
        label = {"codesessions.dev/organization": "org_demo"}
        self.caches.namespaces.put({"metadata": {"name": "demo", "resourceVersion": "1", "uid": "n", "labels": label}})
        self.session: dict[str, Any] = {
            "metadata": {"name": "cs-abc", "namespace": "demo", "uid": "uid-1", "resourceVersion": "1"},
            "spec": {"projectName": "hello"},
            "status": {"phase": "Running"},
        }
        self.caches.sessions.put(self.session)
        self._version = 1
        self.put_key()

    def put_key(self, **spec: Any) -> None:
        self._version += 1
        scopes = ["code-sessions:read", "code-sessions:write"]
        self.caches.keys.put(
            {
                "metadata": {
                    "name": "csk-1",
                    "namespace": "demo",
                    "uid": "k",
                    "resourceVersion": str(self._version),
                },
                "spec": {"hash": self.key.hash, "scopes": scopes, "userId": "user_1", **spec},
            }
        )

    def remove_key(self) -> None:
        self._version += 1
        self.caches.keys.remove(("demo", "csk-1"), self._version)

    def ask(self, method: str = "POST", path: str = "/cs_abc/ticket", **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Handshake(method, path, "", {"host": "pty.example.com", **named})
        assert is_exchange(request)
        head, _, body = exchange(request, "r1", self.admission, MASTER, self.now).partition(b"\r\n\r\n")
        assert b"Cache-Control: no-store" in head
        found: dict[str, Any] = json.loads(body)
        return found

    def by_key(self) -> str:
        return str(self.ask(x_api_key=self.key.text)["ticket"])

    def by_ticket(self, ticket: str) -> dict[str, Any]:
        return self.ask(authorization=f"Bearer {ticket}")

    def refused(self, ticket: str) -> Problem:
        with pytest.raises(Problem) as caught:
            self.by_ticket(ticket)
        return caught.value


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_key_gets_a_ticket_for_this_session_and_hears_how_it_is(desk: Desk) -> None:
    found = desk.ask(x_api_key=desk.key.text)
    ticket = verify_ticket(workspace_key(MASTER, "demo", "uid-1"), found["ticket"], now=desk.now)
    assert (ticket.session_id, ticket.scope, ticket.user_id) == ("cs_abc", ("read", "write"), "user_1")
    assert found["expiresIn"] == TICKET_SECONDS
    assert found["session"]["status"] == "running"
    assert found["session"]["projectName"] == "hello"


def test_a_session_that_has_ended_is_told_with_its_exit_code(desk: Desk) -> None:
    status = {"phase": "Completed", "exitCode": 7}
    metadata = {**desk.session["metadata"], "resourceVersion": "9"}
    desk.caches.sessions.put({**desk.session, "metadata": metadata, "status": status})
    session = desk.ask(x_api_key=desk.key.text)["session"]
    assert (session["status"], session["exitCode"]) == ("completed", 7)


def test_a_ticket_gets_the_next_one_again_and_again(desk: Desk) -> None:
    ticket = desk.by_key()
    for _ in range(20):
        desk.now += TICKET_SECONDS - 1
        ticket = desk.by_ticket(ticket)["ticket"]


def test_a_ticket_that_has_expired_gets_none(desk: Desk) -> None:
    ticket = desk.by_key()
    desk.now += TICKET_SECONDS
    assert desk.refused(ticket).code == "invalid_ticket"


def test_after_half_a_day_the_key_must_be_shown_again(desk: Desk) -> None:
    ticket = desk.by_key()
    while desk.now - START + 50 <= RENEWABLE_SECONDS:
        desk.now += 50
        ticket = desk.by_ticket(ticket)["ticket"]
    desk.now += 50
    assert desk.refused(ticket).code == "invalid_ticket"


@pytest.mark.parametrize("change", [{"disabled": True}, {"expiresAt": "1970-01-02T00:00:00Z"}, None])
def test_a_ticket_of_a_key_that_is_no_longer_good_gets_none_and_opens_nothing(
    desk: Desk, change: dict[str, Any] | None
) -> None:
    ticket = desk.by_key()
    visitor = desk.admission.admit(Handshake("GET", "/cs_abc", "", {"host": "h", "authorization": f"Bearer {ticket}"}))
    assert desk.admission.still_good(visitor) is None
    if change is None:
        desk.remove_key()
    else:
        desk.put_key(**change)
    assert desk.refused(ticket).status == 401
    problem = desk.admission.still_good(visitor)  # who is in must leave
    assert problem is not None
    assert problem.status == 401


def test_a_key_that_lost_a_scope_takes_it_from_its_tickets(desk: Desk) -> None:
    ticket = desk.by_key()
    desk.put_key(scopes=["code-sessions:read"])
    assert desk.by_ticket(ticket)["scope"] == ["read"]


def test_a_ticket_for_another_session_or_of_no_key_gets_none(desk: Desk) -> None:
    other = {"metadata": {"name": "cs-other", "namespace": "demo", "uid": "uid-2"}}
    assert desk.refused(ticket_for(MASTER, other, ("read",), "u", now=desk.now, key="csk-1")).code == "invalid_ticket"
    assert desk.refused(ticket_for(MASTER, desk.session, ("read",), "u", now=desk.now)).code == "invalid_ticket"


def test_pages_of_other_origins_get_none(desk: Desk) -> None:
    assert desk.ask(x_api_key=desk.key.text, origin="https://pty.example.com")["ticket"]
    with pytest.raises(Problem) as caught:
        desk.ask(x_api_key=desk.key.text, origin="https://evil.example.com")
    assert caught.value.code == "origin_refused"


def test_it_takes_post_only(desk: Desk) -> None:
    with pytest.raises(Problem) as caught:
        desk.ask("GET", x_api_key=desk.key.text)
    assert (caught.value.status, caught.value.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/ticket", "/cs_abc", "/x_abc/ticket", "/cs_abc/tickets"])
def test_other_paths_are_not_for_it(path: str) -> None:
    assert not is_exchange(Handshake("POST", path, "", {}))
