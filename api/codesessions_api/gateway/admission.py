"""Who comes, to which terminal, and what they may do there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from codesessions_crds.apikey import Scope
from codesessions_crds.credentials import InvalidTicketError, Ticket, verify_ticket, workspace_key
from codesessions_crds.names import name_of_session
from codesessions_kube.store import Key, Object

from codesessions_api.auth import authenticate, caller_of
from codesessions_api.caches import Caches
from codesessions_api.gateway.handshake import Handshake
from codesessions_api.problems import Problem, not_found, try_again
from codesessions_api.trace import current


@dataclass(frozen=True)
class Visitor:
    """Somebody who may come in.

    `key` is the APIKey's namespace and name, None for a ticket that names none; `expires` when that key does, `since`
    when a ticket's key was shown itself (None: just now), both Unix time.
    """

    session: Object
    scope: tuple[str, ...]
    user_id: str
    key: Key | None = None
    expires: float | None = None
    since: float | None = None

    @property
    def log_fields(self) -> dict[str, object]:
        """Who this is, and for which session, as a line of the log has it, with the ids of the request."""
        metadata = self.session["metadata"]
        return {
            "session": metadata["name"],
            "namespace": metadata["namespace"],
            "key": self.key[1] if self.key else None,
            "userId": self.user_id,
            "scope": ",".join(self.scope),
            **current.get().fields,
        }


class Admission:
    """Checks visitors against the caches."""

    def __init__(
        self,
        caches: Caches,
        master_key: bytes,
        origins: frozenset[str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._caches, self._master_key, self._origins, self._clock = caches, master_key, origins, clock

    def admit(self, request: Handshake) -> Visitor:
        """Who this is. Raises Problem 401, 403, 404 or 503."""
        if not self._caches.synced:
            raise try_again(503, "not_ready", "The gateway has just started and does not know the cluster yet.")
        self.check_origin(request)
        session = request.session or ""
        name = name_of_session(session)
        ticket = request.ticket
        if ticket is not None:
            return self._by_ticket(session, name, ticket)
        caller = authenticate(request.headers.get("x-api-key"), self._caches, now=self._clock())
        caller.require(Scope.READ)
        resource = self._caches.sessions.get(caller.namespace, name) if name else None
        if resource is None:
            raise not_found(session)
        key = (caller.namespace, caller.key_name)
        return Visitor(resource, caller.terminal_scope, caller.user_id, key, caller.expires)

    def still_good(self, visitor: Visitor) -> Problem | None:
        """Why a visitor who was admitted would not be now; None if they would."""
        if visitor.key is None:
            return None
        key = self._caches.keys.get(*visitor.key)
        if key is None:
            return Problem(401, "invalid_api_key", "This API key was deleted.")
        try:
            caller = caller_of(key, self._caches, now=self._clock())
            caller.require(Scope.READ)
        except Problem as problem:
            return problem
        if not set(visitor.scope) <= set(caller.terminal_scope) or (
            visitor.since is None and visitor.scope != caller.terminal_scope
        ):
            return Problem(403, "missing_scope", "The scopes of this API key have changed.")
        return None

    def check_origin(self, request: Handshake) -> None:
        """A page may connect to its own host, and to this one if the settings name it (RFC 6455, section 10.2)."""
        origin = request.headers.get("origin")
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return
        try:
            host = urlsplit(origin.lower()).netloc
        except ValueError:
            host = ""
        if not host or host != request.headers.get("host", "").lower():
            raise Problem(403, "origin_refused", f"Pages of {origin[:128]!r} may not connect here.")

    def _by_ticket(self, session: str, name: str | None, text: str) -> Visitor:
        for resource in self._caches.sessions.find(name) if name else ():  # one a namespace; the key tells them apart
            metadata = resource["metadata"]
            ticket = self._verified(workspace_key(self._master_key, metadata["namespace"], metadata["uid"]), text)
            if ticket is not None and (ticket.session_id, ticket.uid) == (session, metadata["uid"]):
                if "read" not in ticket.scope:
                    raise Problem(403, "missing_scope", "This ticket does not allow to read.")
                return self._ticket_holder(resource, ticket)
        raise Problem(401, "invalid_ticket", "This ticket is not good for this session, or it has expired.")

    def _ticket_holder(self, resource: Object, ticket: Ticket) -> Visitor:
        """Who comes with a good ticket; as long as the key is good for which they got it."""
        if not ticket.key:
            return Visitor(resource, ticket.scope, ticket.user_id)
        name = (resource["metadata"]["namespace"], ticket.key)
        key = self._caches.keys.get(*name)
        if key is None:
            raise Problem(401, "invalid_api_key", "The API key of this ticket was deleted.")
        caller = caller_of(key, self._caches, now=self._clock())
        caller.require(Scope.READ)
        scope = tuple(each for each in ticket.scope if each in caller.terminal_scope)
        return Visitor(resource, scope, ticket.user_id, name, caller.expires, float(ticket.since))

    def _verified(self, key: bytes, text: str) -> Ticket | None:
        try:
            return verify_ticket(key, text, now=self._clock())
        except InvalidTicketError:
            return None
