"""Tickets for one session's terminal, and where that terminal is."""

from __future__ import annotations

import ipaddress

from codesessions_crds.credentials import Ticket, mint_ticket, workspace_key
from codesessions_crds.names import PTY_PORT, session_id
from codesessions_kube.store import Object

TICKET_SECONDS = 60


def address_of(resource: Object) -> tuple[str, int] | None:
    """Host and port of a session's sidecar; None if it has no pod."""
    ip = ((resource.get("status") or {}).get("pod") or {}).get("ip")
    try:
        return str(ipaddress.ip_address(str(ip))), PTY_PORT
    except ValueError:
        return None


def ticket_for(
    master_key: bytes,
    resource: Object,
    scope: tuple[str, ...],
    user_id: str,
    *,
    now: float,
    key: str = "",
    since: float | None = None,
) -> str:
    """A ticket for one session, good for `TICKET_SECONDS` from Unix time `now`.

    With `key`, the name of an APIKey of the session's namespace, it can be exchanged for another one while that key is
    good; `since` is when that key itself was shown, now if None.
    """
    metadata = resource["metadata"]
    secret = workspace_key(master_key, metadata["namespace"], metadata["uid"])
    expires, shown = int(now) + TICKET_SECONDS, int(now if since is None else since)
    return mint_ticket(
        secret, Ticket(session_id(metadata["name"]), metadata["uid"], scope, expires, user_id, key, shown)
    )
