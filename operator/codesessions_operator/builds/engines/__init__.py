"""The engines there are."""

from __future__ import annotations

from codesessions_operator.builds.engine import BuildSettings, Engine
from codesessions_operator.builds.engines.buildah import Buildah
from codesessions_operator.builds.engines.layers import Layers, runtime_image


def choose(name: str, settings: BuildSettings) -> Engine | None:
    """The engine for `spec.engine`; None if this installation has none for it."""
    if not settings.builder_image:
        return None
    if name == Buildah.name:
        return Buildah() if settings.buildah_image else None
    if name not in {"auto", Layers.name}:
        return None
    try:
        runtime_image(settings)
    except ValueError:
        return None
    return Layers()
