"""Tickets: short-lived permissions for this session, signed with its key (HMAC, RFC 2104)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

READ, WRITE, ARCHIVE = "read", "write", "archive"


@dataclass(frozen=True)
class Ticket:
    """What a caller may do. `expires` is Unix time in seconds."""

    scope: frozenset[str]
    expires: int
    user: str


class TicketError(Exception):
    """The ticket is not good for this session."""


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def verify(text: str, *, key: bytes, session_id: str, session_uid: str, now: float) -> Ticket:
    """Check a ticket's signature, session and expiry. Raises TicketError with the reason."""
    body, _, signature = text.partition(".")
    try:
        given = _decode(signature)
        wanted = hmac.new(key, body.encode("ascii"), hashlib.sha256).digest()
    except ValueError as error:
        raise TicketError("this is not a ticket") from error
    if not hmac.compare_digest(given, wanted):
        raise TicketError("the ticket's signature does not match")
    try:
        payload = json.loads(_decode(body))
        sid, uid, expires, scope = (payload[name] for name in ("sid", "uid", "exp", "scope"))
        user = payload.get("usr", "")
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise TicketError("this is not a ticket") from error
    if type(expires) is not int or not isinstance(scope, list) or not all(isinstance(each, str) for each in scope):
        raise TicketError("this is not a ticket")
    if (sid, uid) != (session_id, session_uid):
        raise TicketError("the ticket is for another session")
    if expires <= now:
        raise TicketError("the ticket has expired")
    return Ticket(frozenset(scope), expires, str(user))
