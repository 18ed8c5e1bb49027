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

# Sequences within sequences, cut, aborted, garbled, in all forms, each with a question in it.
TORTURE = [
    b"\x1b]0;ti\x1b]11;?\x07tle\x07",
    b"\x1bPq~~\x1b]10;?\x1b\\~\x1b\\",
    b"\x1b_pre\x1b]52;c;?\x07post\x1b\\",
    b"\xe2\x1b[6n\x82\xac \xf0\x9f\xc2\x9b6n\x98\x80",
    b"\x1b[" + b"0" * 900 + b"6n\x1b[6" + b" " * 40 + b"n",
    b"\x9b6n\x90$qm\x9c\x9d11;?\x9c\x9ac",
    b"\xc2\x9b5n\xc2\x90+q544e\xc2\x9c\xc2\x9d4;1;?\xc2\x9c\xc2\x9a\xc2\x85",
    b"\x1b[\xbc6n\x1b[\x80\x82\x9b6n\x1b[6\xffn\x1b\xe0[6n\x1b[6\xef\xbb\xbfn",
    b"\x1b]1\xbc1;?\x07\x1bP$\xe0qm\x1b\\\x1b]4;1;\xff?\x1b\\",
    b"\xe0\x82\x9b6n\xc1\x9b6n\xc0\x9b[6n\xf0\x80\x82\x9b6n",
    b'\x1bP0;1;0q"1;1;8;8#0;2;0;0;0\x05#0~~@@vv\x1b\\\x1b[?2;1;0S',
    b'\x1bP$qm\x1b\\\x1bP$q"p\x1b\\\x1bP1$qr\x1b\\\x1bP$q q\x1b\\\x1bP\r$\nqm\x1b\\',
    b"\x1bP+q544e;436f\x1b\\\x1bP+q\x1b\\\x1bP+Q69\x1b\\",
    b"\x1b[?2004h\x1b[200~echo pasted\x1b[201~\x1b[?2004l",
    b"\x1b[?2026h\x1b[?2026$p\x1bP=1s\x1b\\x\x1bP=2s\x1b\\\x1b[?2026l",
    b"\x1b[>31u\x1b[?u\x1b[=1;1u\x1b[<u\x1b[?u",
    b"\x1b]52;c;?\x07\x1b]52;;?\x1b\\\x1b]052;p;YQ==\x07\x1b]52;c;!\x1b\\",
    b"\x1b]4;0;?;1;?\x07\x1b]10;?;?;?\x07\x1b]5;0;?\x07\x1b]104\x07",
    b"\x1b[6\x18n\x1b[6\x1an\x1b]11;?\x18\x1bP$qm\x1a\x1b[\x1b[6n",
    b"\x1b[\x086\r\nn\x1b\0[6\x7fn\x1b]1\0001;?\x07",
    b"\x1bPtmux;\x1b\x1b]11;?\x07\x1b\\\x1bPtmux;\x1b\x1b[6n\x1b\\",
    b"\x1b_Ga=q,i=1,s=1,v=1;AAAA\x1b\\\x1b_Gi=1,q=1;AA\x1b\\\x1b_Ga=p,I=3\x1b\\",
    b"\x1b[21t\x1b[>q\x1b[1$p\x1b[1;1;1;1;1;1*y\x05\x1b[?15n\x1b[?62n\x1b[0'|\x1b[?996n\x1b[?4m\x1bZ",
    b"\x1b[?38$p\x1b[#R\x1b[?1g\x1bP2000p\x1b\\\x1b]702;?\x07\x1b[0x\x1b[14;2t\x1b[1;2'z",
]


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
        timeout=120,
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
    [
        *(each.decode() for each in (VIM, AGENT, HTOP)),
        *(octal(b"".join(QUERIES[place : place + 40])) for place in range(0, len(QUERIES), 40)),
        *(octal(b"\r\n".join(TORTURE[place : place + 8])) for place in range(0, len(TORTURE), 8)),
    ],
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
