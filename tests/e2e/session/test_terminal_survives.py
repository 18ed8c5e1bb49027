"""The terminal's promise on the real cluster: a killed sidecar loses nothing and doubles nothing."""

from __future__ import annotations

import hashlib
import time

import pytest
from support.kubectl import Kubectl
from support.session import Session, Sessions

SIZE = 20_000_000
BLOCKS = SIZE // 80 // 1000
PAUSE = 20 / BLOCKS
"""Seconds between blocks: the burst takes 20 s or more, and goes on until all kills have fallen into it."""
KILLS = 20
LINE = "0123456789abcde\n"
PROGRAM = f"""
import hashlib, os, sys, time
line = lambda n: (hashlib.sha256(str(n).encode()).hexdigest() + '0123456789abcde\\n').encode()
out = sys.stdout.buffer
out.write(b'<' * 8)
block = 0
while block < {BLOCKS} or not os.path.exists('enough'):
    out.write(b''.join(line(n) for n in range(block * 1000, block * 1000 + 1000)))
    out.flush()
    time.sleep({PAUSE})
    block += 1
out.write(b'>' * 8)
out.flush()
"""
KILL = """
import os, signal
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        words = open(f'/proc/{pid}/cmdline').read().split('\\0')
    except OSError:
        continue
    if words[1:3] == ['-m', 'codesessions_sidecar']:
        os.kill(int(pid), signal.SIGKILL)
        print(pid)
"""


def _expected(lines: int) -> str:
    digest = hashlib.sha256()
    for number in range(lines):
        digest.update((hashlib.sha256(str(number).encode()).hexdigest() + LINE).encode())
    return digest.hexdigest()


def _kill_sidecar(kubectl: Kubectl, session: Session) -> int:
    """SIGKILL the sidecar process, from inside its container; how many were hit."""
    answer = kubectl.tries("exec", session.pod, "--container=pty", "--", "python3", "-c", KILL)
    return len(answer.stdout.split())


@pytest.mark.timeout(900)
def test_twenty_kills_of_the_sidecar_during_a_burst_change_no_byte(kubectl: Kubectl, sessions: Sessions) -> None:
    session = sessions.create("burst")
    session.run("cat >burst.py <<'EOF'" + PROGRAM + "EOF\n:")
    session.type("stty -opost; python3 burst.py; stty opost\n")
    hits, text, last_kill = 0, session.read_until("<" * 8), time.monotonic()
    text = text.partition("<" * 8)[2]
    while ">" * 8 not in text[-100_000:]:
        if hits < KILLS and time.monotonic() - last_kill > 0.7:
            hits += _kill_sidecar(kubectl, session)
            last_kill = time.monotonic()
            if hits >= KILLS:
                kubectl("exec", session.pod, "--container=workspace", "--", "touch", "/workspace/enough")
        status, page = session.try_page()
        if status == 200:
            text += "".join(chunk["text"] for chunk in page["chunks"])
    shown = text.partition(">" * 8)[0]
    assert hits >= KILLS, f"only {hits} kills fell into the burst"
    assert len(shown) >= SIZE
    assert hashlib.sha256(shown.encode()).hexdigest() == _expected(len(shown) // 80)
    assert session.seqs == list(range(1, len(session.seqs) + 1))
