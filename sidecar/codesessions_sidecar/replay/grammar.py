"""Escape sequences and control strings as terminals parse them (ECMA-48; vt100.net/emu/dec_ansi_parser).

Only what both sides need: where a sequence begins, and whether it is all there. An introducer aborts what was begun
before it, so nothing inside a sequence is ever an introducer, and the last one decides. C1 controls count in their
UTF-8 form (U+009B is C2 9B); a bare byte 9B is no character here.
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
C1 = re.compile(rb"\xc2[\x90\x98\x9a\x9b\x9d-\x9f]")
STRINGS = b"]P_^X"
"""What follows ESC in the introducers of OSC, DCS, APC, PM and SOS."""
END_OF_OSC = re.compile(rb"\x07|" + ST + rb"|" + ABORT)
END_OF_STRING = re.compile(ST + rb"|" + ABORT)
_KIND = re.compile(ESC + rb"[^" + CONTROLS + rb"]")
_UNFINISHED = re.compile(
    rb"(?:" + ESC + rb"\[|\xc2\x9b)" + PARAMETERS + INTERMEDIATES + rb"\Z"
    rb"|(?:" + ESC + rb"\]|\xc2\x9d)" + OSC_BODY + rb"(?:\x1b|\xc2)?\Z"
    rb"|(?:" + ESC + rb"[P_^X]|\xc2[\x90\x98\x9e\x9f])" + STRING_BODY + rb"(?:\x1b|\xc2)?\Z"
    rb"|\x1b" + INTERMEDIATES + rb"\Z|\xc2\Z"
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
    if data.endswith(b"\xc2", 0, end):  # what may become one
        return end - 1
    for found in C1.finditer(data, max(last, 0), end):
        last = found.start()
    return last


def unfinished(data: bytes) -> int:
    """Where the sequence, or character, begins that is not all there; the length of `data` if all is."""
    last = last_introducer(data)
    if last < 0:
        return len(data)
    if last == len(data) - 1:  # perhaps the first half of the end of a string
        before = last_introducer(data, last)
        if before >= 0 and split(data[before:])[0] in STRINGS and _UNFINISHED.match(data, before):
            return before
        return last
    return last if _UNFINISHED.match(data, last) else len(data)


def end_of(string: int) -> re.Pattern[bytes]:
    """What ends a string of this kind."""
    return END_OF_OSC if string == 0x5D else END_OF_STRING
