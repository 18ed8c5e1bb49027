"""Old output on a real terminal emulator: what it would answer does not reach the shell."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
from conformance.test_clients import CLIENTS, NODE
from support.conformance import Start, Terminal
from support.sidecar import ROOT
from unit.sidecar.replay.test_queries import QUERIES

# As vim, htop and a coding agent begin: they ask the terminal what it is, then draw.
VIM = (
    rb"\033[?1049h\033[22;0;0t\033[>4;2m\033[?1h\033=\033[?2004h\033[?1004h\033[1;24r\033[?12h\033[?12$p\033[?25l"
    rb"\033[H\033[2J\033[>c\033]10;?\007\033]11;?\007\033P+q436f\033\\\033[6n\033[2;1Htext\033[?25h\033[?1049l"
)
AGENT = rb"\033[?2004h\033[?1004h\033[>1u\033[?u\033[c\033[>0q\033[?2026$p\033]11;?\033\\\033[?6n\033[18t\033[<u"
HTOP = rb"\033[?1049h\033[22;0;0t\033[?1006;1000h\033[5n\033[c\033(B\033[m\033[?1006;1000l\033[?1049l"


@pytest.fixture(autouse=True, scope="module")
def peers() -> None:
    subprocess.run([ROOT / "dev" / "peers"], check=True, timeout=300)


def octal(data: bytes) -> str:
    """For printf, whatever it holds."""
    return "".join(f"\\{byte:03o}" for byte in data)


def typed(terminal: Terminal, **query: str) -> str:
    """Attach xterm.js, type `hello`, and tell what the shell read."""
    words = {"afterSeq": str(terminal.begin), **query}
    url = terminal.url + "?" + "&".join(f"{name}={value}" for name, value in words.items())
    target: dict[str, Any] = {"url": url, "headers": terminal.headers, "ca": terminal.ca and str(terminal.ca)}
    steps = [("all-printed", "hello\r"), ("that-was-it", "x\r")]
    done = subprocess.run(
        [NODE, CLIENTS / "xterm.mjs"],
        env={**os.environ, "TARGET": json.dumps(target), "STEPS": json.dumps(steps)},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout.splitlines()[-1])["screen"])


def script(printed: str) -> str:
    read = (
        "read -r line; printf '<'; printf %s \"$line\" | od -An -c | tr -d '\\n '; printf '>that-was-it'; read -r line"
    )
    return f"stty -echo; printf '{printed}'; echo all-printed; {read}"


@pytest.mark.parametrize(
    "printed",
    [VIM.decode(), AGENT.decode(), HTOP.decode(), *map(octal, (b"".join(QUERIES[:40]), b"".join(QUERIES[40:])))],
)
def test_a_terminal_answers_nothing_of_old_output(start: Start, printed: str) -> None:
    terminal = start(script(printed))
    terminal.read_until("all-printed")
    assert "<hello>that-was-it" in typed(terminal)


def test_it_would_answer_the_log_as_it_is(start: Start) -> None:
    terminal = start(script(AGENT.decode()))
    terminal.read_until("all-printed")
    screen = typed(terminal, replay="raw")
    assert "<hello>" not in screen
    assert "hello>that-was-it" in screen
