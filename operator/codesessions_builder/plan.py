"""What is to be done with a source: steps to run, what of the result to keep, how to start it."""

from __future__ import annotations

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


def shell(command: str) -> list[str]:
    """A command that may name $PORT, as the arguments of the image."""
    return ["/bin/sh", "-c", command if command.startswith("exec ") else f"exec {command}"]
