"""Tickets for one session's terminal, and where that terminal is."""

from __future__ import annotations

import ipaddress

from codesessions_crds.credentials import Ticket, mint_ticket, workspace_key
from codesessions_crds.names import PTY_PORT, session_id
from codesessions_kube.store import Object

TICKET_SECONDS = 60
_METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
"""Metadata services of clouds beside 169.254.169.254, which is link-local."""
PODS_ON_LOOPBACK = False
"""True in tests alone, whose pods are there."""


def address_of(resource: Object) -> tuple[str, int] | None:
    """Host and port of a session's sidecar; None if it has no pod, or an address that no pod has.

    Tenants cannot write a status. If one could, this would still lead to no metadata service, nowhere in this program's
    own pod, and to no group of machines.
    """
    ip = ((resource.get("status") or {}).get("pod") or {}).get("ip")
    try:
        address = ipaddress.ip_address(str(ip))
    except ValueError:
        return None
    if address.version == 6:
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return (str(address), PTY_PORT) if PODS_ON_LOOPBACK else None
    nowhere = address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
    return None if nowhere or address in _METADATA else (str(address), PTY_PORT)


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
