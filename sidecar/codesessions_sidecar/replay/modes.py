"""The state of a terminal apart from what stands on its screen, and how to bring another one into it. Pure.

It follows output in parts of any size, at the speed of a search: text without ESC costs next to nothing. Not followed:
colours of the palette, tab stops, where the cursor is, and C1 controls, which nobody sends in UTF-8.
Sources: xterm's ctlseqs.txt; kitty's keyboard protocol.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from codesessions_sidecar.replay import grammar, sgr

MAX_TAIL = 4096
"""Bytes kept of a sequence that is not finished; of a longer string only that it is one."""
_MAX_TITLE = 512
_MAX_STACK = 16
_MAX_WORDS = 256
"""Bytes of parameters; what has more is nonsense."""
_EVENT = re.compile(
    rb"\x1b(?:\[(?:([?>=<!])([0-9;:]*+)([hlmup])|([0-9;]*+)(r|h|l| q))"
    rb"|([=>78cno|}~])|([()*+])([%&\"]?[0-9A-Z<=>?`])|\][02];([^\x07\x1b]*+)(?:\x07|\x1b))"
)
_DEFAULTS = {
    1: False, 5: False, 6: False, 7: True, 9: False, 25: True, 45: False, 66: False, 69: False,
    1000: False, 1001: False, 1002: False, 1003: False, 1004: False, 1005: False, 1006: False, 1007: False,
    1015: False, 1016: False, 2004: False, 2027: False, 2031: False, 2048: False,
}  # fmt: skip
"""DEC private modes that outlive the program's next sequence, and what a terminal begins with."""
_MOUSE, _ENCODINGS = (9, 1000, 1001, 1002, 1003), (1005, 1006, 1015, 1016)
_ALTERNATE = (47, 1047, 1049)
_MARKS = (b"\x1b", b"\xc2", b"\x0e", b"\x0f")
"""Output without any of these changes nothing: ESC, the first byte of C1 controls, SO, SI."""
_SOFT = (1, 6, 7, 25, 66, 69)
"""What DECSTR sets back."""


@dataclass
class Modes:
    """Everything that is not as it is in a fresh terminal."""

    private: dict[int, bool] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    """Attributes as DECSC saved them."""
    charsets: dict[str, str] = field(default_factory=dict)
    locked: str = ""
    """The locking shift into GL: "" (G0), "\\x0e" (G1), or "n", "o" behind ESC (G2, G3)."""
    alternate: int = 0
    """The mode by which the alternate screen was entered, 0 for the main screen."""
    kitty: list[list[int]] = field(default_factory=lambda: [[0], [0]])
    """Keyboard flags, a stack each for the main and the alternate screen; the first is what it began with."""
    keypad: bool = False
    insert: bool = False
    new_line: bool = False
    other_keys: str = ""
    """modifyOtherKeys, as xterm's resource 4."""
    cursor: str = ""
    """Shape and blinking, DECSCUSR."""
    region: str = ""
    title: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Modes:
        """The inverse of `document`. Raises what wrong types raise."""
        made = cls(**document)
        made.private = {int(mode): bool(on) for mode, on in made.private.items()}
        return made


class Tracker:
    """Follows one run of output."""

    def __init__(self, modes: Modes | None = None, tail: bytes = b"") -> None:
        self.modes = modes or Modes()
        self.tail = tail
        """The sequence that is not finished at the end of what came, at most `MAX_TAIL` bytes of it."""

    def feed(self, part: bytes) -> None:
        """More output."""
        if not self.tail and not any(mark in part for mark in _MARKS):
            return
        data = self.tail + part
        start = grammar.unfinished(data)
        self._follow(data, start)
        self.tail = data[start : start + MAX_TAIL]
        if len(data) - start > MAX_TAIL and data.endswith(b"\x1b"):
            self.tail = self.tail[:-1] + b"\x1b"

    def _follow(self, data: bytes, stop: int) -> None:
        mark = 0
        for found in _EVENT.finditer(data, 0, stop):
            prefix, words, final, plain, plain_final, single, which, charset, title = found.groups()
            if final is not None:
                if len(words) > _MAX_WORDS:
                    continue
                if prefix == b"!" or (prefix == b"?" and b"104" in words):
                    sgr.behind(data, mark, found.start(), self.modes.attributes)
                    mark = found.end()
                self._prefixed(prefix, words.decode(), final)
            elif plain_final is not None and len(plain) < _MAX_WORDS:
                self._plain(plain.decode(), plain_final)
            elif single is not None:
                if single in b"78c":
                    sgr.behind(data, mark, found.start(), self.modes.attributes)
                    mark = found.end()
                self._single(single.decode())
            elif which is not None:
                self.modes.charsets[which.decode()] = charset.decode()
            elif title is not None:
                self.modes.title = title[:_MAX_TITLE].decode("utf-8", "ignore")
        sgr.behind(data, mark, stop, self.modes.attributes)
        self._shift(data, stop)

    def _shift(self, data: bytes, stop: int) -> None:
        out, back = data.rfind(b"\x0e", 0, stop), data.rfind(b"\x0f", 0, stop)
        if max(out, back) < 0:
            return
        others = (b"\x1bc", b"\x1b[!p", b"\x1bn", b"\x1bo")  # what the events have seen to
        if max(out, back) > max(data.rfind(other, 0, stop) for other in others):
            self.modes.locked = "\x0e" if out > back else ""

    def _plain(self, words: str, final: bytes) -> None:
        modes = self.modes
        if final == b"r":
            modes.region = "" if words in ("", "1", ";", "0", "0;0") else words
        elif final == b" q":
            modes.cursor = "" if words in ("", "0") else words
        else:
            for word in words.split(";"):
                if word == "4":
                    modes.insert = final == b"h"
                elif word == "20":
                    modes.new_line = final == b"h"

    def _prefixed(self, prefix: bytes, words: str, final: bytes) -> None:
        modes = self.modes
        if prefix == b"?" and final in b"hl":
            for word in words.split(";"):
                if word.isdigit():
                    self._private(int(word[:6]), final == b"h")
        elif prefix == b">" and final == b"m":
            if not words or words.split(";")[0] == "4":
                modes.other_keys = words.partition(";")[2]
        elif prefix == b"!" and final == b"p":
            modes.private = {mode: on for mode, on in modes.private.items() if mode not in _SOFT}
            modes.attributes, modes.saved, modes.charsets = {}, {}, {}
            modes.keypad, modes.insert, modes.locked, modes.region = False, False, "", ""
        elif final == b"u":
            self._keyboard(prefix, words)

    def _private(self, mode: int, on: bool) -> None:
        modes = self.modes
        if mode in _ALTERNATE:
            if mode == 1049:
                if on:
                    modes.saved = dict(modes.attributes)
                elif modes.alternate:
                    modes.attributes = dict(modes.saved)
            modes.alternate = mode if on else 0
        elif mode == 1048:
            if on:
                modes.saved = dict(modes.attributes)
            else:
                modes.attributes = dict(modes.saved)
        elif mode in _DEFAULTS:
            for group in (_MOUSE, _ENCODINGS):  # one of each at a time
                if mode in group:
                    for other in group:
                        modes.private.pop(other, None)
            modes.private.pop(mode, None)
            if on != _DEFAULTS[mode]:
                modes.private[mode] = on

    def _keyboard(self, prefix: bytes, words: str) -> None:
        stack = self.modes.kitty[1 if self.modes.alternate else 0]
        numbers = [int(word[:6]) if word.isdigit() else 0 for word in words.split(";")]
        if prefix == b">":
            stack.append(numbers[0])
            del stack[1 : max(1, len(stack) - _MAX_STACK)]
        elif prefix == b"<":
            del stack[max(1, len(stack) - max(1, numbers[0])) :]
        elif prefix == b"=":
            how = numbers[1] if len(numbers) > 1 else 1
            stack[-1] = {2: stack[-1] | numbers[0], 3: stack[-1] & ~numbers[0]}.get(how, numbers[0])

    def _single(self, final: str) -> None:
        modes = self.modes
        if final in "=>":
            modes.keypad = final == "="
        elif final == "7":
            modes.saved = dict(modes.attributes)
        elif final == "8":
            modes.attributes = dict(modes.saved)
        elif final == "c":
            self.modes = Modes(title=modes.title)
        elif final in "no":
            modes.locked = final


def preamble(modes: Modes, *, reset: bool = False) -> bytes:
    """What brings a fresh terminal into this state; with `reset` one that may be in any, whose screen is kept.

    Modes that report when set are left out: they come when the replay is over.
    """
    parts = [_to_defaults() if reset else b""]
    if modes.title:
        parts.append(b"\x1b]2;%b\x07" % modes.title.encode())
    parts.append(_keyboard(modes.kitty[0]))
    if modes.alternate:
        parts += [b"\x1b[?%dh" % modes.alternate, _keyboard(modes.kitty[1])]
    for which, charset in sorted(modes.charsets.items()):
        if charset != "B":
            parts.append(f"\x1b{which}{charset}".encode())
    if modes.locked:
        parts.append(b"\x0e" if modes.locked == "\x0e" else b"\x1b" + modes.locked.encode())
    if modes.region:
        parts.append(f"\x1b[{modes.region}r".encode())
    for mode, on in sorted(modes.private.items()):
        if mode not in (1004, 2048):
            parts.append(b"\x1b[?%d%b" % (mode, b"h" if on else b"l"))
    if modes.keypad:
        parts.append(b"\x1b=")
    if modes.insert:
        parts.append(b"\x1b[4h")
    if modes.new_line:
        parts.append(b"\x1b[20h")
    if modes.other_keys:
        parts.append(f"\x1b[>4;{modes.other_keys}m".encode())
    if modes.cursor:
        parts.append(f"\x1b[{modes.cursor} q".encode())
    parts.append(sgr.sequence(modes.attributes))
    return b"".join(parts)


def reporting(modes: Modes) -> dict[int, bool]:
    """Modes that report when they are set, as far as they are on."""
    return {mode: True for mode in (1004, 2048) if modes.private.get(mode)}


def _keyboard(stack: list[int]) -> bytes:
    base = b"\x1b[=%du" % stack[0] if stack[0] else b""
    return base + b"".join(b"\x1b[>%du" % flags for flags in stack[1:])


def _to_defaults() -> bytes:
    """CAN ends what was begun; then what DECSTR does not reach, and DECSTR."""
    off = ";".join(str(mode) for mode, on in _DEFAULTS.items() if not on).encode()
    keyboard, ansi = b"\x1b[<99u\x1b[=0u", b"\x1b[4;20l\x1b[>4m\x1b>"
    main_screen = keyboard + b"\x1b[?1049l" + keyboard
    charsets = b"\x0f\x1b(B\x1b)B\x1b*B\x1b+B"
    return (
        b"\x18"
        + main_screen
        + b"\x1b[!p\x1b[m"
        + charsets
        + b"\x1b[r\x1b[0 q"
        + ansi
        + b"\x1b[?"
        + off
        + b"l\x1b[?7;25h"
    )
