"""Whatever a client sends, a dialect's parser gives orders or refuses, and types no byte that was not sent."""

from __future__ import annotations

import base64
import json
import random

import pytest
from codesessions_sidecar.dialects import ALL, BY_NAME, choose
from codesessions_sidecar.dialects.base import (
    Ack,
    Dialect,
    EndOfInput,
    Hold,
    Message,
    Order,
    Ping,
    RefusedError,
    Resize,
    Start,
    Type,
)
from codesessions_sidecar.utf8 import is_text
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults import scaled

NAMES = [*BY_NAME]


def speak(name: str) -> Dialect:
    dialect = BY_NAME[name]
    return dialect(next(iter(dialect.subprotocols), None))


def expected_input(name: str, message: Message) -> bytes:
    """What of a message is to be typed, said in another way than the parsers do."""
    data = message.data
    if name == "raw":
        return data
    if name == "ttyd":
        return data[1:] if data[:1] == b"0" else b""
    if name == "channel":
        return data[1:] if data[:1] == b"\0" else b""
    found = json.loads(data)
    if name == "terminado":
        return str(found[1]).encode() if found[0] == "stdin" else b""
    if found.get("type") != "input":
        return b""
    return base64.b64decode(found["data"]) if "data" in found else str(found["text"]).encode()


def check(name: str, message: Message) -> None:
    refusal = None
    try:
        orders = speak(name).orders(message)
    except RefusedError as error:
        refusal = error
    if refusal is not None:
        assert refusal.code in {1003, 1008}
        assert len(refusal.reason.encode()) <= 123, "a close frame holds no more (RFC 6455, section 5.5)"
        return
    typed = b"".join(order.data for order in orders if isinstance(order, Type))
    assert typed == expected_input(name, message)
    for order in orders:
        if isinstance(order, Resize):
            assert 1 <= order.rows <= 10_000
            assert 1 <= order.columns <= 10_000


@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_random_messages(name: str) -> None:
    dice = random.Random(name)
    for _ in range(10_000):
        data = dice.choice((b"", b"0", b"1", b"{", b"[", b"\0", b"\4")) + dice.randbytes(dice.randrange(64))
        check(name, Message(dice.random() < 0.5 and is_text(data), data))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=scaled(100, 300), deadline=None)
@given(data=st.binary(max_size=64), text=st.booleans())
def test_random_messages(name: str, data: bytes, text: bool) -> None:
    check(name, Message(text and is_text(data), data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
WORDS = st.sampled_from(["stdin", "set_size", "input", "resize", "ack", "ping", "text"])
FIELDS = st.sampled_from(["type", "text", "data", "inputSeq", "rows", "cols", "columns", "Width", "Height", "seq"])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=scaled(100, 300), deadline=None)
@given(
    prefix=st.sampled_from([b"", b"0", b"1", b"{", b"\0", b"\4", b"\xff"]),
    value=st.lists(WORDS | JSON, max_size=4) | st.dictionaries(FIELDS, WORDS | JSON, max_size=5) | JSON,
)
def test_nearly_right_messages(name: str, prefix: bytes, value: object) -> None:
    data = prefix + json.dumps(value).encode()
    check(name, Message(data.isascii(), data))


def js(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("name", "text", "data", "orders"),
    [
        ("raw", False, b"\xff\x03", [Type(b"\xff\x03")]),
        ("raw", True, b"", []),
        ("ttyd", False, js({"AuthToken": "", "columns": 80, "rows": 24}), [Start(), Resize(24, 80)]),
        ("ttyd", True, js({"AuthToken": "x"}), [Start()]),
        ("ttyd", False, b"0ls\n", [Type(b"ls\n")]),
        ("ttyd", True, b"0", []),
        ("ttyd", False, b'1{"columns":100,"rows":30}', [Resize(30, 100)]),
        ("ttyd", False, b"2", [Hold(True)]),
        ("ttyd", False, b"3", [Hold(False)]),
        ("ttyd", False, b"9", []),
        ("channel", False, b"\0ls\n", [Type(b"ls\n")]),
        ("channel", True, b"\0\xc3\xa9", [Type(b"\xc3\xa9")]),
        ("channel", False, b"\4" + js({"Width": 80, "Height": 24}), [Resize(24, 80)]),
        ("channel", False, b"\4" + js({"width": 0, "height": 0}), []),
        ("channel", False, b"\1x", []),
        ("channel", False, b"\xff\0", [EndOfInput()]),
        ("channel", False, b"\xff\1", []),
        ("terminado", True, js(["stdin", "é"]), [Type("é".encode())]),
        ("terminado", True, js(["set_size", 24, 80, 600, 800]), [Resize(24, 80)]),
        ("terminado", True, js(["set_size", 0, 0]), []),
        ("terminado", True, js(["later"]), []),
        ("codesessions.v1", True, js({"type": "input", "text": "x", "inputSeq": 7}), [Type(b"x", 7)]),
        ("codesessions.v1", True, js({"type": "input", "data": "/wM="}), [Type(b"\xff\x03")]),
        ("codesessions.v1", True, js({"type": "input", "text": ""}), []),
        ("codesessions.v1", True, js({"type": "input", "text": "", "inputSeq": 1}), [Type(b"", 1)]),
        ("codesessions.v1", True, js({"type": "ack", "seq": 0}), [Ack(0)]),
        ("codesessions.v1", True, js({"type": "ping"}), [Ping()]),
        ("codesessions.v1", True, js({"type": "later"}), []),
    ],
)
def test_right_messages(name: str, text: bool, data: bytes, orders: list[Order]) -> None:
    assert speak(name).orders(Message(text, data)) == orders


@pytest.mark.parametrize(
    ("name", "text", "data", "code"),
    [
        ("ttyd", True, b"{", 1008),
        ("ttyd", True, b"1[]", 1008),
        ("ttyd", True, b'1{"columns":80}', 1008),
        ("channel", False, b"\4", 1008),
        ("channel", False, b"\4" + js({"Width": 80, "Height": 10_001}), 1008),
        ("terminado", False, js(["stdin", "x"]), 1003),
        ("terminado", True, b"{}", 1008),
        ("terminado", True, js(["stdin"]), 1008),
        ("terminado", True, js(["stdin", 7]), 1008),
        ("terminado", True, js(["stdin", "\ud800"]), 1008),
        ("terminado", True, js(["set_size", 24]), 1008),
        ("terminado", True, js(["set_size", "24", "80"]), 1008),
        ("codesessions.v1", False, b"x", 1003),
        ("codesessions.v1", True, js({"type": "input", "text": "x", "data": "eA=="}), 1008),
        ("codesessions.v1", True, js({"type": "input", "data": "eA="}), 1008),
        ("codesessions.v1", True, js({"type": "input", "data": "\u00e9"}), 1008),
        ("codesessions.v1", True, js({"type": "input", "text": "x", "inputSeq": 0}), 1008),
        ("codesessions.v1", True, js({"type": "ack"}), 1008),
        ("codesessions.v1", True, js({"type": "ack", "seq": True}), 1008),
        ("codesessions.v1", True, js({"type": 7}), 1008),
    ],
)
def test_wrong_messages_are_refused(name: str, text: bool, data: bytes, code: int) -> None:
    with pytest.raises(RefusedError) as caught:
        speak(name).orders(Message(text, data))
    assert caught.value.code == code


def test_only_version_five_can_close_a_channel() -> None:
    four = choose(["v4.channel.k8s.io"], None)
    assert four.subprotocol == "v4.channel.k8s.io"
    assert four.orders(Message(False, b"\xff\0")) == []


@pytest.mark.parametrize(
    ("offered", "wanted", "name", "answered"),
    [
        ([], None, "raw", None),
        (["ticket.codesessions.dev.x.y"], None, "raw", None),
        (["raw.codesessions.dev"], None, "raw", "raw.codesessions.dev"),
        (["unknown", "tty", "codesessions.v1"], None, "ttyd", "tty"),
        (["v5.channel.k8s.io", "v4.channel.k8s.io"], None, "channel", "v5.channel.k8s.io"),
        ([], "terminado", "terminado", None),
        (["tty"], "terminado", "terminado", None),
        (["tty", "codesessions.v1"], "codesessions.v1", "codesessions.v1", "codesessions.v1"),
    ],
)
def test_the_choice(offered: list[str], wanted: str | None, name: str, answered: str | None) -> None:
    chosen = choose(offered, wanted)
    assert (chosen.name, chosen.subprotocol) == (name, answered)


def test_no_subprotocol_means_two_dialects() -> None:
    names = [each for dialect in ALL for each in dialect.subprotocols]
    assert len(names) == len(set(names))
