from __future__ import annotations

import base64
import hashlib
import hmac
import json
import string

import pytest
from codesessions_crds.credentials import (
    InvalidTicketError,
    Ticket,
    hash_api_key,
    is_well_formed_key,
    master_key_of,
    mint_ticket,
    new_api_key,
    verify_ticket,
    workspace_key,
)
from hypothesis import given
from hypothesis import strategies as st

KEY = bytes(range(32))
TICKET = Ticket("cs_abc123", "uid-1", ("read", "write"), 2000, "user_1")
TICKETS = st.builds(
    Ticket,
    session_id=st.text(max_size=50),
    uid=st.text(max_size=50),
    scope=st.lists(st.sampled_from(["read", "write"]), max_size=3).map(tuple),
    expires=st.integers(1001, 2**53),
    user_id=st.text(max_size=50),
)


def test_a_key_is_well_formed_and_only_its_hash_is_kept() -> None:
    key = new_api_key()
    assert key.text.startswith(f"csk_{key.id}_")
    assert is_well_formed_key(key.text)
    assert key.hash == hashlib.sha256(key.text.encode()).hexdigest() == hash_api_key(key.text)
    assert new_api_key().text != key.text


@given(st.integers(0, 48), st.integers(1, 61))
def test_a_mistyped_key_is_told_apart(place: int, shift: int) -> None:
    letters = string.digits + string.ascii_letters
    text = new_api_key().text
    position = len(text) - 49 + place
    other = letters[(letters.index(text[position]) + shift) % 62]
    assert not is_well_formed_key(text[:position] + other + text[position + 1 :])


@given(st.text())
def test_any_text_can_be_hashed(text: str) -> None:
    assert len(hash_api_key(text)) == 64


def test_the_hash_of_text_that_is_no_unicode_is_a_hash_too() -> None:
    assert len(hash_api_key("\ud800")) == 64


def test_the_workspace_key_follows_the_contract() -> None:
    message = b"codesessions/workspace/v1\0demo\0uid-1"
    assert workspace_key(KEY, "demo", "uid-1") == hmac.new(KEY, message, hashlib.sha256).digest()


def test_the_workspace_key_differs_by_namespace_and_uid() -> None:
    found = {workspace_key(KEY, namespace, uid) for namespace in ("a", "b") for uid in ("1", "2")}
    assert len(found) == 4


@pytest.mark.parametrize("size", [0, 31])
def test_a_short_master_key_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        workspace_key(b"x" * size, "demo", "uid")
    with pytest.raises(ValueError, match="at least 32 bytes"):
        master_key_of(b"x" * size + b"\n" * 40)


def test_the_newline_of_a_key_file_is_no_part_of_the_key() -> None:
    assert master_key_of(b"k" * 32 + b"\n") == b"k" * 32


def test_a_ticket_is_what_the_contract_says() -> None:
    body, _, signature = mint_ticket(KEY, TICKET).partition(".")
    payload = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert payload == {"sid": "cs_abc123", "uid": "uid-1", "scope": ["read", "write"], "exp": 2000, "usr": "user_1"}
    wanted = base64.urlsafe_b64encode(hmac.new(KEY, body.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    assert signature == wanted


@given(TICKETS)
def test_a_ticket_comes_back_as_it_was(ticket: Ticket) -> None:
    assert verify_ticket(KEY, mint_ticket(KEY, ticket), now=1000) == ticket


@given(st.data())
def test_a_ticket_with_one_other_character_is_refused(data: st.DataObject) -> None:
    text = mint_ticket(KEY, TICKET)
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda letter: letter != text[position]))
    with pytest.raises(InvalidTicketError):
        verify_ticket(KEY, text[:position] + other + text[position + 1 :], now=1000)


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidTicketError):
        verify_ticket(KEY, text, now=1000)


@pytest.mark.parametrize("suffix", ["", "=", ".", ".x", " ", "\n"])
def test_a_ticket_ends_where_it_ends(suffix: str) -> None:
    text = mint_ticket(KEY, TICKET) + suffix
    if suffix:
        with pytest.raises(InvalidTicketError):
            verify_ticket(KEY, text, now=1000)
    else:
        assert verify_ticket(KEY, text, now=1000) == TICKET


def test_another_sessions_key_does_not_open() -> None:
    text = mint_ticket(workspace_key(KEY, "demo", "uid-1"), TICKET)
    with pytest.raises(InvalidTicketError, match="signature"):
        verify_ticket(workspace_key(KEY, "demo", "uid-2"), text, now=1000)


def test_a_ticket_expires_at_its_second() -> None:
    text = mint_ticket(KEY, TICKET)
    assert verify_ticket(KEY, text, now=1999.9) == TICKET
    with pytest.raises(InvalidTicketError, match="expired"):
        verify_ticket(KEY, text, now=2000)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"1",
        b"{}",
        b"\xff",
        b'{"sid":"a","uid":"b","scope":["read"]}',
        b'{"sid":"a","uid":"b","scope":1,"exp":9}',
        b'{"sid":"a","uid":"b","scope":[],"exp":Infinity}',
        b'{"sid":"a","uid":"b","scope":[],"exp":"x"}',
    ],
)
def test_a_signed_payload_that_is_no_ticket_is_refused(payload: bytes) -> None:
    body = base64.urlsafe_b64encode(payload).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.new(KEY, body, hashlib.sha256).digest()).rstrip(b"=")
    with pytest.raises(InvalidTicketError, match="not a ticket"):
        verify_ticket(KEY, f"{body.decode()}.{signature.decode()}", now=0)
