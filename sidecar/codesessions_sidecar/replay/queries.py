"""Takes out of old output what would make a terminal answer, or act outside itself, and nothing else.

It is fed in parts of any size and gives the same in all cases. What might become a question is held back until that is
known. Where the taking out would join what stood before with what follows, an ST is left, which ends what was begun;
so too where what is no ASCII breaks a sequence off.
Of mode settings only those go that report when set (`modes_on` has them).
"""

from __future__ import annotations

import re

from codesessions_sidecar.replay import grammar
from codesessions_sidecar.replay.answered import (
    Verdict,
    apc,
    controls_of,
    csi,
    dcs,
    osc,
    without_reporting_modes,
)

MAX_HELD = 64 << 10
"""Bytes that are held back at most; a sequence that is longer and still undecided goes."""
_CUT = b"\x1b\\"
_NOT_FINAL = bytes([*range(0x40), 0x7F])
_CSI = (
    grammar.PARAMETERS + grammar.INTERMEDIATES + rb"[cnxpqtuRSywvi|z]"
    rb"|[" + grammar.CONTROLS + rb"]*+\?" + grammar.PARAMETERS + rb"[mhlg]"
    rb"|" + grammar.PARAMETERS + grammar.BROKEN
)  # fmt: skip
_OSC = grammar.OSC_BODY + rb"(?:\x07|" + grammar.ST + rb"|" + grammar.ABORT + rb")"
_STRING = grammar.STRING_BODY + rb"(?:" + grammar.ST + rb"|" + grammar.ABORT + rb")"
_USUAL = re.compile(
    grammar.ESC + rb"(?:\[(?:" + _CSI + rb")|\]" + _OSC + rb"|[P_^X]" + _STRING + rb"|[Zc]|" + grammar.BROKEN + rb")"
)  # fmt: skip
_ANY = re.compile(
    rb"[\x05\x18]|(?:" + grammar.ESC + rb"\[|\xc2\x9b)(?:" + _CSI + rb")|(?:" + grammar.ESC + rb"\]|\xc2\x9d)" + _OSC +
    rb"|(?:" + grammar.ESC + rb"[P_^X]|\xc2[\x90\x98\x9e\x9f])" + _STRING + rb"|" + grammar.ESC + rb"(?:[Zc]|" +
    grammar.BROKEN + rb")|\xc2\x9a"
)  # fmt: skip
"""With ENQ, C1 controls, and CAN: behind two asterisks ZMODEM begins, which the client of ttyd answers."""
_END = re.compile(rb"(?:\x07|\x1b\\|\xc2\x9c)?\Z")


class QueryFilter:
    """One viewer's."""

    def __init__(self) -> None:
        self.modes_on: dict[int, bool] = {}
        self._held = b""
        self._last = b""
        self._open = 0  # kind of the sequence that what was given out ends in, 0 for none
        self._dropping: re.Pattern[bytes] | None = None

    def feed(self, part: bytes) -> bytes:
        """What to show of it, as far as that is known."""
        data, self._held = self._held + part, b""
        if self._dropping is not None:
            data = self._drop(data)
        start = grammar.unfinished(data)
        shown = self._clean(data, start)
        if start < len(data):
            shown += self._begun(data[start:])
        self._last = (self._last + shown[-2:])[-2:]
        return shown

    def finish(self) -> bytes:
        """What is held back, and settings of modes: after this everything is live."""
        held = b"" if self._dropping is not None else self._held
        if self._dropping is None:
            self._held = b""
        settings = b"".join(b"\x1b[?%dh" % mode for mode, on in sorted(self.modes_on.items()) if on)
        return settings + held

    def drop(self, string: int) -> None:
        """The next bytes are the rest of a string of this kind, whose beginning is gone: they go too."""
        self._dropping = grammar.end_of(string)

    @property
    def dropping(self) -> bool:
        """Whether the next bytes are the rest of a string that goes."""
        return self._dropping is not None

    def live(self, part: bytes) -> bytes:
        """Live output, without the rest of a string whose beginning was taken out."""
        data, self._held = self._held + part, b""
        return self._drop(data) if self._dropping is not None else data

    def _drop(self, data: bytes) -> bytes:
        assert self._dropping is not None  # noqa: S101
        end = self._dropping.search(data)
        if end is not None:
            self._dropping = None
            return data[end.end() :]
        if data.endswith((b"\x1b", b"\xc2")):
            self._held = data[-1:]
        return b""

    def _clean(self, data: bytes, stop: int) -> bytes:
        """What is before `stop`: whole sequences, and text."""
        if not stop:
            return b""
        rare = b"\x05" in data or b"\x18" in data or grammar.C1.search(data)
        pieces: list[bytes] = []
        position, start, state, last = 0, 0, self._open, self._last
        if state in grammar.STRINGS and state:  # the rest of a string that stays
            end = grammar.end_of(state).search(data)
            start = end.end() if end else stop
        for found in (_ANY if rare else _USUAL).finditer(data, start):
            if found.start() >= stop:
                break
            sequence = found.group()
            if sequence == b"\x18" and not _ends_so(last, data[position : found.start()]):
                continue
            new = self._in_place_of(sequence)
            if new is None:
                continue
            before = data[position : found.start()]
            pieces.append(before)
            last = (last + before[-2:])[-2:]
            opened = _open_after(before, state)
            position = found.end()
            if sequence == b"\x05" and opened and not before.endswith(b"\xc2"):
                state = opened  # what was begun goes on
                continue
            new = _CUT + new if opened and not new.startswith((b"\x1b", b"\xc2")) else new
            pieces.append(new)
            state, last = _open_after(new, 0), (last + new[-2:])[-2:]
        rest = data[position:stop]
        self._open = _open_after(rest, state)
        if not pieces:
            return rest
        pieces.append(rest)
        return b"".join(pieces)

    def _in_place_of(self, sequence: bytes) -> bytes | None:
        """What to put in place of a whole sequence; None: it stays as it is."""
        if sequence[0] in b"\x05\x18":
            return b""
        which, start = grammar.split(sequence)
        body = sequence[start:]
        if which < 0x30 or (which == 0x5B and not body[-1:].strip(_NOT_FINAL)):
            return sequence.replace(b"\x05", b"") + _CUT  # broken: else it would go on for who passes that over
        if which == 0x5B:
            return self._csi(sequence, body)
        if which == 0x63:  # RIS
            self.modes_on.clear()
            return sequence.replace(b"\x05", b"") if b"\x05" in sequence else None
        if which == 0x5A:  # DECID
            return controls_of(sequence)
        inner = _END.sub(b"", body)
        verdict = _string(which, inner, whole=True)
        if isinstance(verdict, bytes):
            return sequence[:start] + verdict + body[len(inner) :]
        return controls_of(sequence[:start]) if verdict is Verdict.DROP else None

    def _csi(self, sequence: bytes, body: bytes) -> bytes | None:
        answered, modes, on = csi(body)
        if answered:
            return controls_of(sequence)
        self.modes_on.update(dict.fromkeys(modes, on))
        if modes and on:
            return controls_of(sequence) + without_reporting_modes(body)
        return sequence.replace(b"\x05", b"") if b"\x05" in sequence else None

    def _begun(self, data: bytes) -> bytes:
        """A sequence that is not all there."""
        which, start = grammar.split(data)
        if not which or which not in grammar.STRINGS:
            self._held = data
            if len(data) >= MAX_HELD:
                self._held = b""
                self.drop(which)
            return b""
        inner = data[:-1] if data[-1] in b"\x1b\xc2" and len(data) > start else data
        verdict = _string(which, inner[start:], whole=False)
        if verdict is Verdict.WAIT and len(data) < MAX_HELD:
            self._held = data
            return b""
        self._held = data[len(inner) :]
        if verdict in (Verdict.DROP, Verdict.WAIT):
            before, self._open = self._open, 0
            self.drop(which)
            return (_CUT if before else b"") + controls_of(data[:start])
        self._open = which
        return data[:start] + verdict if isinstance(verdict, bytes) else inner


def _string(which: int, body: bytes, *, whole: bool) -> Verdict | bytes:
    if which == 0x5D:
        return osc(body, whole=whole)
    if which == 0x50:
        return dcs(body, whole=whole)
    if which == 0x5F:
        return apc(body, whole=whole)
    return Verdict.KEEP


def _ends_so(before: bytes, data: bytes) -> bool:
    """Whether two asterisks are the last of what was given out."""
    return (before + data[-2:])[-2:] == b"**"


def _open_after(data: bytes, before: int) -> int:
    """The kind of sequence that is not finished behind `data`, if one of kind `before` was not finished before it."""
    if not data:
        return before
    start = grammar.unfinished(data)
    if data[start:] == b"\xc2":  # half a character, whose rest may come to stand behind it
        return _open_after(data[:-1], before) or 0x1B
    if start < len(data):
        return grammar.split(data[start:])[0] or 0x1B
    if grammar.last_introducer(data) >= 0 or not before or before not in grammar.STRINGS:
        return 0
    return 0 if grammar.end_of(before).search(data) else before
