"""Which sequences a terminal answers, or acts on outside itself. Pure.

Sources: xterm's ctlseqs.txt, kitty's protocol extensions, iTerm2's proprietary codes, ConEmu's OSC 9, VT510, urxvt(7),
mintty's CtrlSeqs.
"""

from __future__ import annotations

import re
from enum import Enum

_CSI = re.compile(rb"([<=>?]*)([0-9:;]*)([ -/]*)([@-~])")
_PASSED_OVER = bytes([*range(0x18), 0x19, *range(0x1C, 0x20), *range(0x7F, 0x100)])
"""Control characters, and bytes that are no UTF-8: xterm.js takes a sequence for what it is without them."""
_ANSWERED = frozenset(
    # DA1 to DA3; DSR, CPR; DECREQTPARM; DECRQM; XTVERSION; kitty keyboard; XTSMGRAPHICS; DECRQCRA; DECRQPSR
    (b"c >c =c n ?n x $p ?$p >q ?u ?S *y $w " +
    # DECRQLP; DECRQUPSS; DECRQTSR; DECRQKT; DECRQDE; DECRQPKFM; XTQMODKEYS; XTQFMTKEYS; XTREPORTSGR; XTREPORTCOLORS
    b"'| &u $u ,u \"v +x ?m ?g #| #R " +
    # XTTITLEPOS; macros; printing
    b"#S *z i ?i").split()
)  # fmt: skip
_KEPT_WINDOW_OPERATIONS = (b"22", b"23")
"""Push and pop the title; all others report, or move and size the window."""
REPORTING_MODES = (1004, 2048)
"""Focus events and in-band sizes: a terminal sends a report when these are set."""
_ACTIONS = frozenset((3, 51, 52, 60, 61, 99, 777, 5522))
"""X properties, calls into the editor, clipboard, features (a query), notifications, clipboard."""
_ASKING = frozenset(
    (4, 5, *range(10, 20), 21, 22, 39, 49, 50, 176, *range(701, 709), *range(710, 714), 7704, 7770, 7771)
)
"""Set or, with "?", ask for colours, pointer, font; foot: the window's name; rxvt, mintty: locale, version, glyphs."""
_ITERM_KEPT = (b"SetMark", b"CurrentDir=", b"RemoteHost=", b"ShellIntegrationVersion=", b"SetUserVar=")
_DCS = re.compile(rb"([0-?]*)([ -/]*)([@-~]?)")
_DCS_ANSWERED = frozenset((b"$q", b"+q", b"+Q", b"@"))
"""DECRQSS, XTGETTCAP, XTGETXRES, kitty's remote control."""
_CONVERSATIONS = frozenset((b"1000", b"2000", b"2001"))
"""tmux's control mode, iTerm2's SSH integration: the terminal types commands from here on."""


class Verdict(Enum):
    """What becomes of a string, as far as it is known."""

    KEEP = 1
    DROP = 2
    WAIT = 3


def controls_of(sequence: bytes) -> bytes:
    """The control characters within a sequence, which take effect without it."""
    return bytes(byte for byte in sequence[1:] if byte < 0x20 and byte != 0x05 and byte != 0x1B)


def csi(body: bytes) -> tuple[bool, list[int], bool]:
    """Of what follows CSI: whether it is answered; reporting modes it sets or resets, and which of both."""
    found = _CSI.fullmatch(body.translate(None, _PASSED_OVER))
    if found is None:
        return False, [], False
    prefix, parameters, intermediates, final = found.groups()
    key = prefix + intermediates + final
    if key == b"t":
        return parameters.partition(b";")[0].lstrip(b"0") not in _KEPT_WINDOW_OPERATIONS, [], False
    if key in (b"?h", b"?l"):
        modes = [int(word) for word in parameters.split(b";") if word.isdigit() and len(word) < 9]
        return False, [mode for mode in modes if mode in REPORTING_MODES], final == b"h"
    return key in _ANSWERED, [], False


def without_reporting_modes(body: bytes) -> bytes:
    """A sequence that sets modes without those that report; empty if nothing is left."""
    clean = body.translate(None, _PASSED_OVER)
    words = [word for word in clean[1:-1].split(b";") if not (word.isdigit() and int(word[:9]) in REPORTING_MODES)]
    return b"\x1b[?" + b";".join(words) + clean[-1:] if words else b""


def osc(body: bytes, *, whole: bool) -> Verdict:
    """Of an operating system command: what follows OSC, without its end."""
    clean = body.translate(None, _PASSED_OVER)
    word, semicolon, rest = clean.partition(b";")
    if not word.isdigit():
        return Verdict.WAIT if not clean and not whole else Verdict.KEEP
    if not semicolon and not whole:
        return Verdict.WAIT
    number = int(word[:9])
    if number in _ACTIONS:
        return Verdict.DROP
    if number in _ASKING:
        if b";?" in clean or b"=?" in clean:
            return Verdict.DROP
        return Verdict.KEEP if whole else Verdict.WAIT
    if number == 9:  # a notification, if it is none of ConEmu's numbered ones
        if re.match(rb"\d+(?:;|\Z)", rest) and (whole or b";" in rest):
            return Verdict.KEEP
        return Verdict.DROP if whole or not re.fullmatch(rb"\d*", rest) else Verdict.WAIT
    if number == 1337:
        return _iterm(rest, whole=whole)
    return Verdict.KEEP


def _iterm(rest: bytes, *, whole: bool) -> Verdict:
    """iTerm2: pictures in the text and marks stay; questions, downloads, clipboard and such go."""
    if rest.startswith(_ITERM_KEPT):
        return Verdict.KEEP
    if rest.startswith((b"File=", b"MultipartFile=")):
        if re.match(rb"[^=]*=(?:[^:]*;)?inline=1(?:[;:]|\Z)", rest) and (whole or b":" in rest):
            return Verdict.KEEP
        return Verdict.DROP if whole or b":" in rest else Verdict.WAIT
    if rest.startswith((b"FilePart=", b"FileEnd")):
        return Verdict.KEEP
    return Verdict.DROP if whole or len(rest) > 32 else Verdict.WAIT


def dcs(body: bytes, *, whole: bool) -> Verdict:
    """Of a device control string: what follows DCS, without its end."""
    found = _DCS.match(body.translate(None, _PASSED_OVER))
    assert found is not None  # noqa: S101 - it matches nothing, too
    parameters, intermediates, final = found.groups()
    if not final:
        return Verdict.KEEP if whole or found.end() < len(body.translate(None, _PASSED_OVER)) else Verdict.WAIT
    conversation = final == b"p" and not intermediates and parameters in _CONVERSATIONS
    return Verdict.DROP if intermediates + final in _DCS_ANSWERED or conversation else Verdict.KEEP


def apc(body: bytes, *, whole: bool) -> Verdict | bytes:
    """Of an application program command: kitty's pictures are acknowledged, unless told to be quiet.

    Bytes: what to put in place of `body`.
    """
    control, semicolon, rest = body.partition(b";")
    clean = control.translate(None, _PASSED_OVER)
    if not clean.startswith(b"G"):
        return Verdict.KEEP if clean or semicolon or whole else Verdict.WAIT
    if not semicolon and not whole:
        return Verdict.WAIT
    keys = dict(word.partition(b"=")[::2] for word in clean[1:].split(b","))
    if keys.get(b"a") == b"q":
        return Verdict.DROP
    if keys.get(b"q") == b"2" or not (b"i" in keys or b"I" in keys):
        return Verdict.KEEP
    return control + b",q=2" + semicolon + rest
