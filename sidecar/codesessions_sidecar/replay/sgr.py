"""Select graphic rendition (ECMA-48, 8.3.117; xterm's ctlseqs.txt): what is on behind a run of text. Pure."""

from __future__ import annotations

import re

Attributes = dict[str, str]
"""Attribute to the parameter that sets it again."""
_SGR = re.compile(rb"\x1b\[([0-9;:]*+)m")
_ON = {
    1: "bold", 2: "faint", 3: "italic", 4: "underline", 5: "blink", 6: "blink", 7: "inverse", 8: "hidden",
    9: "struck", 21: "underline", 53: "overline",
}  # fmt: skip
_OFF = {
    22: ("bold", "faint"), 23: ("italic",), 24: ("underline",), 25: ("blink",), 27: ("inverse",), 28: ("hidden",),
    29: ("struck",), 39: ("text",), 49: ("back",), 55: ("overline",), 59: ("line",),
}  # fmt: skip
_COLOUR = {38: "text", 48: "back", 58: "line"}


def behind(data: bytes, start: int, end: int, attributes: Attributes) -> None:
    """Bring `attributes` up to date with data[start:end]."""
    reset = max(data.rfind(b"\x1b[m", start, end), data.rfind(b"\x1b[0m", start, end))
    for found in _SGR.finditer(data, max(start, reset), end):
        _apply(found.group(1).decode("ascii"), attributes)


def sequence(attributes: Attributes) -> bytes:
    """What sets exactly these; nothing for none."""
    return f"\x1b[0;{';'.join(attributes.values())}m".encode() if attributes else b""


def _apply(text: str, attributes: Attributes) -> None:
    words = text.split(";")
    while words:
        word = words.pop(0)
        head = word.partition(":")[0]
        number = int(head[:6]) if head else 0
        if len(word) > 64:
            continue
        if number == 0:
            attributes.clear()
        elif number in _COLOUR:
            if ":" not in word and words:  # the older form: the colour follows as parameters of its own
                count = {"5": 2, "2": 4}.get(words[0], 0)
                word, words = ";".join([word, *words[:count]]), words[count:]
            attributes[_COLOUR[number]] = word
        elif number == 4 and word in ("4:0",):
            attributes.pop("underline", None)
        elif number in _ON:
            attributes[_ON[number]] = word
        elif 30 <= number <= 37 or 90 <= number <= 97:
            attributes["text"] = word
        elif 40 <= number <= 47 or 100 <= number <= 107:
            attributes["back"] = word
        for name in _OFF.get(number, ()):
            attributes.pop(name, None)
