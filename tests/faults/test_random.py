"""Random bytes as output, as what is typed, and as what comes where a WebSocket frame should be."""

from __future__ import annotations

import contextlib
import random
import re
import socket
from pathlib import Path

import pytest
from support.conformance import Loopback, Terminal
from support.faults import FULL, scaled
from support.sidecar import Rig, until
from support.viewer import EXACT, Viewer

STRINGS = scaled(2_000, 10_000)
SEED = random.SystemRandom().randrange(1 << 32) if FULL else 20_261_124
"""In full it is another one each time; what CI has tried is tried again with the same."""
HELLO = (
    "GET /v1/attach?{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    "Authorization: Bearer {token}\r\n\r\n"
)
QUERIES = [f"dialect={name}" for name in ("raw", "ttyd", "channel", "terminado", "codesessions.v1")]


@pytest.fixture
def dice() -> random.Random:
    print(f"seed {SEED}")
    return random.Random(SEED)


def terminal_of(rig: Rig) -> Terminal:
    return Terminal(
        Loopback(rig), f"ws://127.0.0.1:{rig.port}/v1/attach", {"Authorization": f"Bearer {rig.token}"}, rig=rig
    )


def string(dice: random.Random) -> bytes:
    """Some bytes: noise, text, or text that was cut and mixed."""
    kind = dice.randrange(3)
    if kind == 0:
        return dice.randbytes(dice.randrange(1, 200))
    text = "".join(chr(dice.choice((dice.randrange(32, 127), dice.randrange(160, 0xD7FF), 0x1F600))) for _ in range(40))
    data = text.encode()
    return data if kind == 1 else data[dice.randrange(4) : -1 - dice.randrange(4)] + dice.randbytes(2)


def test_random_output_is_kept_to_the_byte(rig: Rig, tmp_path: Path, dice: random.Random) -> None:
    data = b"".join(string(dice) for _ in range(STRINGS))
    (tmp_path / "data").write_bytes(data)
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", f"stty -opost -echo; cat {tmp_path}/data; exit 7")
    rig.until_end()
    for dialect in EXACT:
        viewer = Viewer(terminal_of(rig), dialect, after=0, replay="raw")
        assert viewer.rest() == data, dialect
        viewer.cut()
    text, after = "", 0
    while chunks := rig.page(after, wait=0)["chunks"]:
        text, after = text + "".join(chunk["text"] for chunk in chunks), chunks[-1]["seq"]
    assert text == data.decode(errors="replace")


def test_random_typing_arrives_to_the_byte(rig: Rig, dice: random.Random) -> None:
    rig.start_sidecar()
    rig.start_launcher("/bin/sh", "-c", "stty raw -echo; echo on; exec cat")
    _, seen = rig.read_until("on\n")
    viewers = [Viewer(terminal_of(rig), dialect, after=seen) for dialect in EXACT]
    typed = b""
    for _ in range(STRINGS // 50):
        viewer = dice.choice(viewers)
        piece = b"".join(string(dice) for _ in range(50))
        if piece in {b"\x03", b"\x1c", b"\x1a"}:
            continue
        viewer.type(piece)
        typed += piece
        marker = b"<%d>" % len(typed)
        viewer.type(marker)
        typed += marker
        viewers[0].until(marker)  # so that the next one's comes behind this one's
    assert bytes(viewers[0].shown) == typed
    for viewer in viewers:
        viewer.until(marker)
        assert bytes(viewer.shown) == typed, viewer.dialect
        viewer.cut()


def test_garbage_for_frames_harms_nobody_else(rig: Rig, dice: random.Random) -> None:
    rig.start_sidecar()
    rig.start_launcher(
        "/bin/sh", "-c", "stty raw -echo; echo on; while :; do dd bs=64k count=1 of=/dev/null; done 2>&1"
    )
    rig.read_until("on\n")
    witness = Viewer(terminal_of(rig), "codesessions.v1", role="viewer")
    assert rig.sidecar is not None
    for _ in range(STRINGS):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", rig.port), timeout=60) as connection:
            query = dice.choice(QUERIES)
            connection.sendall(HELLO.format(query=query, token=rig.token).encode() + frames(dice))
            if dice.random() < 0.1:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
    assert rig.sidecar.poll() is None
    until("all of them have gone", lambda: viewers(rig) == 1, seconds=120)
    assert witness.until_told("hello")["role"] == "viewer"
    (log,) = rig.folder.glob("sidecar-*.log")
    assert '"why":"error"' not in log.read_text()
    assert "connection-failed" not in log.read_text()
    assert "attach-failed" not in log.read_text()
    witness.cut()


def frames(dice: random.Random) -> bytes:
    """Noise, or frames that are nearly right: masked or not, long, cut, reserved bits, continued, control."""
    if dice.random() < 0.3:
        return dice.randbytes(dice.randrange(64))
    made = b""
    for _ in range(dice.randrange(1, 4)):
        payload = dice.choice((b"", b"0", b"1{", b'["stdin","', b"\4{}", b'{"type":"input","text":"')) + string(dice)
        first = dice.choice((0x81, 0x82, 0x01, 0x80, 0x88, 0x89, dice.randrange(256)))
        length = len(payload) if dice.random() < 0.8 else dice.randrange(1 << 16)
        head = bytes((first, 0xFE)) + length.to_bytes(2, "big") if length > 125 else bytes((first, 0x80 | length))
        made += head + b"\0\0\0\0" + payload
    return made


def viewers(rig: Rig) -> int:
    """How many are attached, of all dialects."""
    text: str = rig.call("GET", "/metrics")[1]["text"]
    return sum(map(int, re.findall(r"^codesessions_pty_viewers(?:\{[^}]*\})? (\d+)", text, re.MULTILINE)))
