"""The Secret that only the sidecar sees."""

from __future__ import annotations

from typing import Any

from codesessions_operator.desired.common import Session, metadata


def secret(session: Session, workspace_key: bytes) -> dict[str, Any]:
    """The workspace key, in hexadecimal. Immutable, so that no kubelet needs to watch it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(session),
        "immutable": True,
        "stringData": {"workspace-key": workspace_key.hex()},
    }
