"""Escape sequences and control strings as terminals parse them (ECMA-48; vt100.net/emu/dec_ansi_parser).

Only what both sides need: where a sequence begins, and whether it is all there. An introducer aborts what was begun
before it, so nothing inside a sequence is ever an introducer, and the last one decides. C1 controls count in their
UTF-8 form (U+009B is C2 9B); a bare byte 9B is no character here. What is no ASCII ends a sequence (`BROKEN`), or,
where it is no UTF-8 either, is passed over: terminals differ.
"""

from __future__ import annotations

import re

CONTROLS = rb"\x00-\x17\x19\x1c-\x1f\x7f"
"""Executed, or ignored, within a sequence (CAN, SUB and ESC end it)."""
ESC = rb"\x1b[" + CONTROLS + rb"]*+"
PARAMETERS = rb"[0-?" + CONTROLS + rb"]*+"
INTERMEDIATES = rb"[ -/" + CONTROLS + rb"]*+"
OSC_BODY = rb"(?:[^\x07\x18\x1a\x1b\xc2]|\xc2(?![\x80-\x9f]|\Z))*+"
STRING_BODY = rb"(?:[^\x18\x1a\x1b\xc2]|\xc2(?![\x80-\x9f]|\Z))*+"
ABORT = rb"(?=[\x18\x1a]|\x1b[^\\]|\xc2[\x80-\x9b\x9d-\x9f])"
ST = rb"\x1b\\|\xc2\x9c"
BROKEN = INTERMEDIATES + rb"(?=[\x80-\xc1\xc3-\xff]|\xc2(?![\x80-\x9f]|\Z))"
"""The end of a control sequence, or of an escape sequence, behind which stands what cannot be part of it."""
C1 = re.compile(rb"\xc2[\x90\x98\x9a\x9b\x9d-\x9f]")
STRINGS = b"]P_^X"
"""What follows ESC in the introducers of OSC, DCS, APC, PM and SOS."""
END_OF_OSC = re.compile(rb"\x07|" + ST + rb"|" + ABORT)
END_OF_STRING = re.compile(ST + rb"|" + ABORT)
END_OF_CSI = re.compile(rb"[@-~]|(?=[\x18\x1a\x1b\x80-\xff])")
_KIND = re.compile(ESC + rb"[^" + CONTROLS + rb"]")
_UNFINISHED = re.compile(
    rb"(?:" + ESC + rb"\[|\xc2\x9b)" + PARAMETERS + INTERMEDIATES + rb"\xc2?\Z"
    rb"|(?:" + ESC + rb"\]|\xc2\x9d)" + OSC_BODY + rb"(?:\x1b|\xc2)?\Z"
    rb"|(?:" + ESC + rb"[P_^X]|\xc2[\x90\x98\x9e\x9f])" + STRING_BODY + rb"(?:\x1b|\xc2)?\Z"
    rb"|\x1b" + INTERMEDIATES + rb"\xc2?\Z|\xc2\Z"
)


def split(sequence: bytes) -> tuple[int, int]:
    """The byte behind ESC that says what a sequence is (of a C1 control the one that would), and where that ends.

    0 if it is not there yet.
    """
    if sequence[0] == 0xC2:
        return (sequence[1] - 0x40, 2) if C1.match(sequence) else (0, 1)
    found = _KIND.match(sequence)
    return (sequence[found.end() - 1], found.end()) if found else (0, len(sequence))


def last_introducer(data: bytes, end: int | None = None) -> int:
    """Where the last introducer before `end` begins; -1: there is none."""
    end = len(data) if end is None else end
    last = data.rfind(b"\x1b", 0, end)
    if end == len(data) and data.endswith(b"\xc2"):  # what may become one
        return end - 1
    for found in C1.finditer(data, max(last, 0), end):
        last = found.start()
    return last


def unfinished(data: bytes) -> int:
    """Where the sequence, or character, begins that is not all there; the length of `data` if all is."""
    last = last_introducer(data)
    if last < 0:
        return len(data)
    if last == len(data) - 1:  # perhaps the first half of the end of a string, or of what breaks a sequence
        before = last_introducer(data, last)
        if before >= 0 and _UNFINISHED.match(data, before):
            return before
        return last
    return last if _UNFINISHED.match(data, last) else len(data)


def end_of(kind: int) -> re.Pattern[bytes]:
    """What ends a string, or control sequence, of this kind."""
    if kind not in STRINGS or not kind:
        return END_OF_CSI
    return END_OF_OSC if kind == 0x5D else END_OF_STRING
