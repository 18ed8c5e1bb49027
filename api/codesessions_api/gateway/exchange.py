"""`POST /cs_abc123/ticket`: an API key, or a ticket, for a ticket; and how the session is.

The API has such a call too, but a page can only ask where it came from, and that is the gateway. A ticket is good for
a minute and for one session. A page that is open exchanges it for the next one, so that it need not keep the key: for
at most `RENEWABLE_SECONDS` after the key itself was shown, and only while that key is good, with the scopes it has.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

from codesessions_crds.names import session_id

from codesessions_api import views
from codesessions_api.gateway.admission import Admission, Visitor
from codesessions_api.gateway.answers import plain
from codesessions_api.gateway.handshake import Handshake
from codesessions_api.problems import Problem
from codesessions_api.tickets import TICKET_SECONDS, ticket_for

RENEWABLE_SECONDS = 12 * 3600
PATH = "/ticket"
_audit = logging.getLogger("audit")


def is_exchange(request: Handshake) -> bool:
    """Whether this is such a call, be it a proper one or not."""
    return request.path.endswith(PATH) and _of_session(request).session is not None


def exchange(request: Handshake, request_id: str, admission: Admission, master_key: bytes, now: float) -> bytes:
    """The answer. Raises Problem 401, 403, 404, 405 or 503."""
    if request.method != "POST":
        raise Problem(405, "method_not_allowed", "Use POST.", headers={"Allow": "POST"})
    visitor = admission.admit(_of_session(request))
    if visitor.since is not None and now - visitor.since > RENEWABLE_SECONDS:
        raise Problem(401, "invalid_ticket", "It is long since the API key of this ticket was shown: show it again.")
    if visitor.key is None:
        raise Problem(401, "invalid_ticket", "This ticket names no API key, so it cannot be exchanged.")
    text = ticket_for(
        master_key, visitor.session, visitor.scope, visitor.user_id, now=now, key=visitor.key[1], since=visitor.since
    )
    if visitor.since is None:
        _audit.info("ticket", extra={"fields": {"verb": "ticket", "result": "ok", **visitor.log_fields}})
    body = json.dumps(_document(visitor, text)).encode()
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Request-Id": request_id}
    return plain(200, "application/json", body, headers)


def _of_session(request: Handshake) -> Handshake:
    return replace(request, path=request.path.removesuffix(PATH))


def _document(visitor: Visitor, ticket: str) -> dict[str, Any]:
    session = visitor.session
    ready = views.ready_of(session)
    return {
        "ticket": ticket,
        "expiresIn": TICKET_SECONDS,
        "scope": list(visitor.scope),
        "session": {
            "id": session_id(session["metadata"]["name"]),
            "projectName": (session.get("spec") or {}).get("projectName", ""),
            "status": views.status_of(session),
            "reason": ready.get("reason"),
            "message": ready.get("message"),
            "exitCode": (session.get("status") or {}).get("exitCode"),
        },
    }
