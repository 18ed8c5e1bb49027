from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from codesessions_sidecar.tickets import TicketError, verify
from hypothesis import given
from hypothesis import strategies as st

KEY = bytes(range(32))
GOOD: dict[str, Any] = {"sid": "cs_a", "uid": "u-1", "scope": ["read"], "exp": 1000, "usr": "ann"}


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(payload: object, key: bytes = KEY) -> str:
    body = b64url(json.dumps(payload).encode())
    return f"{body}.{b64url(hmac.new(key, body.encode(), hashlib.sha256).digest())}"


def check(text: str, now: float = 999.0) -> Any:
    return verify(text, key=KEY, session_id="cs_a", session_uid="u-1", now=now)


def test_a_good_ticket_says_what_it_allows() -> None:
    ticket = check(sign(GOOD))
    assert (ticket.scope, ticket.expires, ticket.user) == (frozenset({"read"}), 1000, "ann")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "x",
        "é.é",
        sign(GOOD, b"k" * 32),
        sign(GOOD) + "A",
        sign(GOOD).partition(".")[0] + ".",
        sign({**GOOD, "sid": "cs_b"}),
        sign({**GOOD, "uid": "u-2"}),
        sign({**GOOD, "scope": "read"}),
        sign({**GOOD, "scope": [1]}),
        sign({**GOOD, "exp": float("nan")}),
        sign({**GOOD, "exp": float("inf")}),
        sign({**GOOD, "exp": "1000"}),
        sign({**GOOD, "exp": True}),
        sign({"sid": "cs_a"}),
        sign([]),
        sign(7),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(TicketError):
        check(text)


def test_it_expires_at_the_second_it_says() -> None:
    assert check(sign(GOOD), now=999.999)
    with pytest.raises(TicketError, match="expired"):
        check(sign(GOOD), now=1000)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_byte_passes(place: int, change: int) -> None:
    text = bytearray(sign(GOOD).encode())
    text[place % len(text)] ^= change
    try:
        changed = text.decode("ascii")
    except UnicodeDecodeError:
        return
    body, _, signature = changed.partition(".")
    good_body, _, good_signature = sign(GOOD).partition(".")
    same_bits = body == good_body and signature[:-1] == good_signature[:-1]  # the last character has spare bits
    if not same_bits:
        with pytest.raises(TicketError):
            check(changed)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    with pytest.raises(TicketError):
        check(text)
