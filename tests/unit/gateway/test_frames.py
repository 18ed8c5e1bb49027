from codesessions_api.gateway.frames import FrameScanner, accept_key, close_frame
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode


def test_the_accept_key_is_the_one_of_the_rfc() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(st.text(max_size=200))
def test_a_close_frame_is_never_too_long_and_its_reason_is_text(reason: str) -> None:
    frame = close_frame(1013, reason)
    assert frame[0] == 0x88
    assert frame[1] == len(frame) - 2 <= 125
    frame[4:].decode()


@given(st.lists(st.binary(max_size=70_000), min_size=1, max_size=4), st.integers(1, 5000))
def test_it_knows_where_frames_end_however_they_are_cut(payloads: list[bytes], step: int) -> None:
    stream = b"".join(Frame(Opcode.BINARY, payload).serialize(mask=False) for payload in payloads)
    scanner = FrameScanner()
    for start in range(0, len(stream), step):
        scanner.feed(stream[start : start + step])
        assert start + step < len(stream) or scanner.at_boundary
    scanner.feed(stream[:1])
    assert not scanner.at_boundary


def test_a_close_that_went_by_is_noticed() -> None:
    scanner = FrameScanner()
    scanner.feed(close_frame(1000, "exit 7"))
    assert scanner.closed
    assert scanner.at_boundary
