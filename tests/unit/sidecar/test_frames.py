from __future__ import annotations

import secrets

import pytest
from codesessions_sidecar.dialects.base import Message
from codesessions_sidecar.frames import frame, masked_length, only_message
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode


def masked(message: Message, mask: bytes) -> bytes:
    """A client's frame, as the library makes it."""
    data = Frame(Opcode.TEXT if message.text else Opcode.BINARY, message.data).serialize(mask=True)
    at = len(data) - len(message.data) - 4
    return data[:at] + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(message.data))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("text", [True, False])
def test_a_servers_frame_is_what_the_library_makes(size: int, text: bool) -> None:
    data = b"x" * size
    assert frame(Message(text, data)) == Frame(Opcode.TEXT if text else Opcode.BINARY, data).serialize(mask=False)
    assert masked_length(size) == len(Frame(Opcode.BINARY, data).serialize(mask=True))


@given(st.booleans(), st.binary(max_size=125), st.binary(min_size=4, max_size=4))
def test_a_short_message_is_read(text: bool, data: bytes, mask: bytes) -> None:
    message = Message(text, data)
    assert only_message(memoryview(masked(message, mask))) == message


@given(st.binary(max_size=20))
def test_noise_is_no_message_or_what_the_library_reads(data: bytes) -> None:
    found = only_message(data)
    assert found is None or masked(found, data[2:6]) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x82\x81\0\0\0\0",  # not all there
        b"\x82\x81\0\0\0\0xy",  # more than one
        b"\x82\x01xxxxxx",  # not masked
        b"\x02\x81\0\0\0\0x",  # more to come
        b"\x80\x81\0\0\0\0x",  # the rest of another
        b"\xc2\x81\0\0\0\0x",  # an extension
        b"\x89\x81\0\0\0\0x",  # a ping
        b"\x88\x80\0\0\0\0",
        b"\x82\xfe\0\x01\0\0\0\0x",
        masked(Message(False, b"x" * 126), secrets.token_bytes(4)),
    ],
)
def test_all_else_is_left_to_the_library(data: bytes) -> None:
    assert only_message(data) is None
