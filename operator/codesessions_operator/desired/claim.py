"""The claim of the volume that outlives the pod: files and transcript."""

from __future__ import annotations

from typing import Any

from codesessions_operator.desired.common import Session, metadata
from codesessions_operator.settings import Settings


def claim(session: Session, settings: Settings) -> dict[str, Any] | None:
    """The PersistentVolumeClaim, or None for an ephemeral workspace."""
    workspace = session.spec.workspace
    storage = workspace.storage if workspace else None
    if storage is not None and storage.ephemeral:
        return None
    size = storage.size if storage and storage.size is not None else settings.storage_size
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    storage_class = (storage.storage_class_name if storage else None) or settings.storage_class
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(session), "spec": spec}
