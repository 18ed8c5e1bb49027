"""What is to be done with a source: steps to run, what of the result to keep, how to start it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from codesessions_builder.image import Start


@dataclass(frozen=True)
class Plan:
    """`steps` are shell commands in the application's folder. `pages`: folders of which the first with an index.html,
    once the steps are done, is served as it is; without one, `start` it is."""

    language: str
    steps: Sequence[str] = ()
    start: Start | None = None
    pages: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    """For the steps alone."""
    sought: str = ""
    """What was looked for, where neither pages nor a start are there."""


_PIECES = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|`[^`]*`|\$\{[^}]*\}|\$\([^()]*\)|[<>]+&|&>|(&&|\|\||[;|&(){}`])""", re.DOTALL
)
"""Of a command of sh(1): what is quoted or expanded, and what stands between its commands."""
_SETTINGS = re.compile(r"""([A-Za-z_]\w*=('[^']*'|"(\\.|[^"\\])*"|[^\s'"])*\s+)+\S""")
_NO_PROGRAM = re.compile(r"(exec|if|for|while|until|case|fi|done|esac|then|else|do|!|cd|export|set|\.|source)(\s|$)|$")


def shell(command: str) -> list[str]:
    """A command that may name $PORT, as the arguments of the image."""
    return ["/bin/sh", "-c", _direct(command)]


def _direct(command: str) -> str:
    """With `exec` before the program that stays, so that signals reach it; as it is where that cannot be told."""
    between = [found for found in _PIECES.finditer(command) if found[1]]
    if not {found[1] for found in between} <= {"&&", ";"}:
        return command
    cut = between[-1].end() if between else 0
    before, last = command[:cut], command[cut:].strip()
    if _NO_PROGRAM.match(last):
        return command
    return f"{before} exec {'env ' if _SETTINGS.match(last) else ''}{last}".strip()
