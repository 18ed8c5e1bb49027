"""Keys and tickets: how they are made, told apart and checked. Pure functions of bytes and text.

- an *API key* is what a caller of the REST API shows; only its SHA-256 is stored.
- a *workspace key* is the secret of one session's sidecar, derived from the master key.
- a *ticket* is a short-lived permission for one session, signed with its workspace key (HMAC, RFC 2104).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import zlib
from dataclasses import dataclass

from codesessions_crds.names import random_text

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY = re.compile(r"^csk_([a-z0-9]{8})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$")
MASTER_KEY_BYTES = 32


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits


@dataclass(frozen=True)
class NewKey:
    """An API key that was just made: the only moment at which its text is known."""

    id: str
    text: str
    hash: str


def new_api_key() -> NewKey:
    """Make an API key of 256 random bits: `csk_<id>_<secret><CRC-32>`."""
    identity = random_text(8)
    body = f"csk_{identity}_{_base62(secrets.randbits(256), 43)}"
    text = body + _base62(zlib.crc32(body.encode()), 6)
    return NewKey(identity, text, hash_api_key(text))


def hash_api_key(text: str) -> str:
    """What an APIKey resource stores: SHA-256 of the key, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_well_formed_key(text: str) -> bool:
    """Whether a text is a key that this product made (its checksum holds). A key made by hand need not be."""
    if _KEY.fullmatch(text) is None:
        return False
    return _base62(zlib.crc32(text[:-6].encode()), 6) == text[-6:]


def master_key_of(text: bytes) -> bytes:
    """The master key in a file's bytes: white space at either end is not part of it. Raises ValueError if too short.

    All programs must read the file by this function, or their tickets do not fit.
    """
    key = text.strip()
    if len(key) < MASTER_KEY_BYTES:
        raise ValueError(f"the master key must have at least {MASTER_KEY_BYTES} bytes, it has {len(key)}")
    return key


def workspace_key(master_key: bytes, namespace: str, uid: str) -> bytes:
    """The secret of one session's sidecar, 32 bytes. Names repeat across namespaces, uids never do."""
    if len(master_key) < MASTER_KEY_BYTES:
        raise ValueError(f"the master key must have at least {MASTER_KEY_BYTES} bytes, it has {len(master_key)}")
    message = b"\0".join((b"codesessions/workspace/v1", namespace.encode(), uid.encode()))
    return hmac.new(master_key, message, hashlib.sha256).digest()


@dataclass(frozen=True)
class Ticket:
    """What a ticket says. `expires` is Unix time in seconds.

    `key` is the APIKey's resource it was given for, "" if for none; `since` when that key was shown itself, Unix time.
    """

    session_id: str
    uid: str
    scope: tuple[str, ...]
    expires: int
    user_id: str = ""
    key: str = ""
    since: int = 0


class InvalidTicketError(ValueError):
    """The ticket is not one of ours, or no longer."""


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def mint_ticket(key: bytes, ticket: Ticket) -> str:
    """Sign a ticket with a workspace key."""
    payload: dict[str, object] = {
        "sid": ticket.session_id,
        "uid": ticket.uid,
        "scope": list(ticket.scope),
        "exp": ticket.expires,
        "usr": ticket.user_id,
    }
    if ticket.key:
        payload |= {"key": ticket.key, "since": ticket.since}
    body = _encode(json.dumps(payload, separators=(",", ":")).encode())
    return f"{body}.{_encode(hmac.new(key, body.encode(), hashlib.sha256).digest())}"


def verify_ticket(key: bytes, text: str, *, now: float) -> Ticket:
    """Check signature and expiry, in constant time. Raises InvalidTicketError."""
    body, dot, signature = text.encode("utf-8", "replace").partition(b".")
    wanted = _encode(hmac.new(key, body, hashlib.sha256).digest()).encode()
    if not dot or not hmac.compare_digest(signature, wanted):
        raise InvalidTicketError("the signature does not match")
    try:
        payload = json.loads(_decode(body))
        ticket = Ticket(
            session_id=str(payload["sid"]),
            uid=str(payload["uid"]),
            scope=tuple(str(each) for each in payload["scope"]),
            expires=int(payload["exp"]),
            user_id=str(payload.get("usr", "")),
            key=str(payload.get("key", "")),
            since=int(payload.get("since", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidTicketError("this is not a ticket") from error
    if ticket.expires <= now:
        raise InvalidTicketError("the ticket has expired")
    return ticket
