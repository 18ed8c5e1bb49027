"""Texts in a container's spec that are to arrive as they are. Pure.

In `env` and `command` the kubelet puts values in the place of `$(NAME)`, and `$` in that of `$$` (Kubernetes API,
Container).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def literal(text: str) -> str:
    """What the kubelet makes this text of."""
    return text.replace("$", "$$")


def literal_env(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Environment variables as a container has them."""
    return [{"name": name, "value": literal(value)} for name, value in env.items()]
