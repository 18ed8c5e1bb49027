"""What a 401 asks for: the WWW-Authenticate header (RFC 9110, section 11.6.1). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the RFC's word
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|\s*$|\s*(?=,))")


@dataclass(frozen=True)
class Challenge:
    """A scheme in small letters, and its parameters."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


def parse(headers: Iterable[str]) -> list[Challenge]:
    """The challenges of a response, in their order; what cannot be read is left out."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    place = 0
    while place < len(header):
        if header[place] in ", \t":
            place += 1
            continue
        parameter = _PARAMETER.match(header, place)
        if parameter and found:
            name, quoted, plain = parameter.groups()
            found[-1].parameters[name.lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            place = parameter.end()
            continue
        scheme = _SCHEME.match(header, place)
        if scheme is None:
            break
        found.append(Challenge(scheme[1].lower()))
        place = scheme.end()
    return found
