"""The engines there are."""

from __future__ import annotations

from codesessions_operator.builds.engine import BuildSettings, Engine


def choose(name: str, settings: BuildSettings) -> Engine | None:  # noqa: ARG001
    """The engine for `spec.engine`; None if this installation has none for it."""
    return None
