"""Guided by coverage (atheris, libFuzzer), in place of chance: frames, text, and old output, for some seconds each.

`make fuzz`; what it finds is printed and belongs into a unit test.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["codesessions_sidecar"]):
    from codesessions_sidecar.frames import only_message
    from codesessions_sidecar.replay.queries import QueryFilter
    from codesessions_sidecar.utf8 import decode, incomplete_tail, is_text

from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

SECONDS = 60


def text(data: bytes) -> None:
    """Cut anywhere, the characters are those of the whole, as Python's decoder has them."""
    whole = data.decode(errors="replace")
    for place in range(len(data) + 1):
        place -= incomplete_tail(data[:place])
        assert decode(data[:place]) + decode(data[place:]) == whole
    assert is_text(data) == (data.decode(errors="ignore").encode() == data)


def frame(data: bytes) -> None:
    """What is taken for a message by the short way is the same message for the library."""
    message = only_message(data)
    protocol = ServerProtocol(state=OPEN, max_size=1 << 20)
    protocol.receive_data(data)
    events = protocol.events_received()
    if message is not None:
        (event,) = events
        assert event.fin
        assert bytes(event.data) == message.data
        assert (event.opcode is Opcode.TEXT) == message.text


def replay(data: bytes) -> None:
    """Cut anywhere, the same is shown; and a second pass finds nothing to take out."""
    length, data = (data[0] % 16 + 1 if data else 1), data[1:].replace(b"\x05", b"")
    once = shown(data)
    assert shown(*(data[place : place + length] for place in range(0, len(data), length))) == once
    assert shown(once) == once


def shown(*parts: bytes) -> bytes:
    made = QueryFilter()
    return b"".join(map(made.feed, parts)) + made.finish()


TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "text": (text, ["aé€😀".encode(), b"\xf0\x9f"]),
    "frame": (frame, [b"\x81\x85\0\0\0\0hello", b"\x82\xfe\0\x80\0\0\0\0"]),
    "replay": (replay, [b"\2a\x1b[6n\x1b]11;?\x07\x1bP$qm\x1b\\\xc2\x9b6n\x1b[\xbc6n", b"\1\x1b_Ga=q,i=1;A\x1b\\"]),
}


def main() -> None:
    """Each target in a process of its own, since libFuzzer ends its process; or the one that is named."""
    if len(sys.argv) > 1:
        name, corpus = sys.argv[1:]
        for number, seed in enumerate(TARGETS[name][1]):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        artifacts = f"-artifact_prefix={corpus}-"
        atheris.Setup([sys.argv[0], corpus, f"-max_total_time={SECONDS}", "-max_len=200", artifacts], TARGETS[name][0])
        atheris.Fuzz()
    for name in TARGETS:
        corpus = Path(".dev/fuzz-corpus") / name
        corpus.mkdir(parents=True, exist_ok=True)
        print(f"{name}: {SECONDS} s")
        subprocess.run([sys.executable, __file__, name, str(corpus)], check=True)


if __name__ == "__main__":
    main()
