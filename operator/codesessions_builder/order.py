"""What the operator asks of a build pod: one JSON object in its environment. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

VARIABLE = "CODESESSIONS_BUILD_ORDER"
APP_DIR = "/app"
"""Where the application is, both while it is built and in its image: virtual environments know their own path."""


@dataclass(frozen=True)
class Order:
    """Repositories are full names within the registry, with its prefix."""

    source_repository: str
    source_digest: str
    base: str
    """The runtime image: a repository with `@digest` or `:tag`."""
    image_repository: str
    base_registry: str = ""
    """URL of the runtime image's registry; empty: the one of everything else, where its layers need not be sent."""
    engine: str = "auto"
    namespace: str = ""
    build: str = ""
    app: str = ""
    session_id: str = ""
    user_id: str = ""
    organization_id: str = ""
    requested_at: str = ""
    app_dir: str = APP_DIR
    exchange_dir: str = "/exchange"
    scratch_dir: str = "/tmp"  # noqa: S108 - a volume of the builder alone
    cache_dir: str = ""
    """Shared with the steps, for what they fetch; empty: nothing is kept."""
    port: int = 8080
    limits: Mapping[str, int] = field(default_factory=dict)

    def render(self) -> str:
        """As the environment has it."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Order:
        """Raises ValueError or TypeError for what is none."""
        found: Any = json.loads(text)
        return cls(**{each.name: found[each.name] for each in fields(cls) if each.name in found})
