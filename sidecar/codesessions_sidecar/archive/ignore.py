"""Ignore files with Docker's rules (https://docs.docker.com/build/concepts/context/#dockerignore-files).

A pattern is matched against the whole path from the root; one that matches a folder matches all below it; the last
pattern that matches decides, and `!` takes back. `*` and `?` stay within a name, `**` spans any number of folders.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from codesessions_sidecar.archive.errors import ArchiveError, shown

MAX_PATTERNS = 1000
MAX_PATTERN = 512
"""Characters of one pattern."""


class Pattern:
    """One line of an ignore file."""

    __slots__ = ("exception", "matches")

    def __init__(self, text: str, *, exception: bool) -> None:
        self.exception = exception
        self.matches = re.compile(_expression(text), re.DOTALL).fullmatch


class Rules:
    """Patterns in their order."""

    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        self._patterns = tuple(patterns)
        self.exceptions = any(pattern.exception for pattern in self._patterns)
        self.top: Matches = (False,) * len(self._patterns)

    def matches(self, path: str, above: Matches) -> Matches:
        """Which patterns match a folder or one above it; `above` is that of its parent."""
        return tuple(
            known or pattern.matches(path) is not None for known, pattern in zip(above, self._patterns, strict=True)
        )

    def ignored(self, path: str, above: Matches) -> bool:
        """Whether a path is left out; `above` are the matches of its folder."""
        for index in range(len(self._patterns) - 1, -1, -1):
            pattern = self._patterns[index]
            if above[index] or pattern.matches(path) is not None:
                return not pattern.exception
        return False


Matches = tuple[bool, ...]


def parse(text: str, file: str) -> list[Pattern]:
    """The patterns of an ignore file. Raises ArchiveError that names the line."""
    patterns: list[Pattern] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip()
        if not line or raw.startswith("#"):
            continue
        exception = line.startswith("!")
        body = line[1:].strip() if exception else line
        if not body or len(body) > MAX_PATTERN or len(patterns) >= MAX_PATTERNS:
            raise ArchiveError(
                "bad_pattern",
                f"{file} line {number}: {shown(line)} is empty, over {MAX_PATTERN} characters, "
                f"or beyond the {MAX_PATTERNS}th pattern",
            )
        clean = posixpath.normpath(body).lstrip("/")
        if clean in {"", "."}:
            continue
        try:
            patterns.append(Pattern(clean, exception=exception))
        except (re.error, ValueError) as error:
            raise ArchiveError(
                "bad_pattern", f"{file} line {number}: {shown(line)} is not a pattern ({error})"
            ) from error
    return patterns


def _expression(pattern: str) -> str:
    """A pattern as a regular expression."""
    out: list[str] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        if pattern.startswith("**", at):
            while at < end and pattern[at] == "*":
                at += 1
            if at < end and pattern[at] == "/":
                at += 1
            out.append("(?:.*/)?" if at < end else ".*")
            continue
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            size = _class(pattern, at, out)
            at += size
            continue
        elif char == "\\":
            at += 1
            if at == end:
                raise ValueError("nothing after the backslash")
            out.append(re.escape(pattern[at]))
        else:
            out.append(re.escape(char))
        at += 1
    return "".join(out)


def _class(pattern: str, begin: int, out: list[str]) -> int:
    """Translate a character class; returns its length. `]` ends it unless escaped, as in Go's path.Match."""
    at, end = begin + 1, len(pattern)
    negated = at < end and pattern[at] == "^"
    at += negated
    items: list[str] = []
    while at < end and (pattern[at] != "]" or not items):
        low, at = _one(pattern, at)
        high = low
        if at + 1 < end and pattern[at] == "-" and pattern[at + 1] != "]":
            high, at = _one(pattern, at + 1)
        if low > high:
            raise ValueError(f"{low}-{high} is no range")
        items.append(f"{re.escape(low)}-{re.escape(high)}")
    if at >= end:
        raise ValueError("[ without ]")
    out.append(f"(?!/)[{'^' if negated else ''}{''.join(items)}]")
    return at + 1 - begin


def _one(pattern: str, at: int) -> tuple[str, int]:
    """One character of a class, and where the next begins."""
    if pattern[at] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError("[ without ]")
    return pattern[at], at + 1
