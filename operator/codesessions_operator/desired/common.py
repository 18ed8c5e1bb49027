"""What all children of a session share."""

from __future__ import annotations

from typing import Any

from codesessions_crds.codesession import CodeSessionSpec
from codesessions_crds.names import API_VERSION, MANAGED_BY_LABEL, OPERATOR_MANAGER, SESSION_LABEL, workspace_name
from pydantic import BaseModel, ConfigDict

APP_LABEL = "app.kubernetes.io/name"
APP = "codesessions-workspace"
WORKSPACE_LABELS = {APP_LABEL: APP, MANAGED_BY_LABEL: OPERATOR_MANAGER}


class Session(BaseModel):
    """What the builders need to know of a CodeSession."""

    model_config = ConfigDict(frozen=True)

    namespace: str
    name: str
    uid: str
    spec: CodeSessionSpec

    @property
    def child(self) -> str:
        """The name of pod, claim and secret."""
        return workspace_name(self.name)


def metadata(session: Session) -> dict[str, Any]:
    """Name, labels and owner of a child: it is deleted with its session (Kubernetes: garbage collection)."""
    return {
        "name": session.child,
        "namespace": session.namespace,
        "labels": {**WORKSPACE_LABELS, SESSION_LABEL: session.name},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "CodeSession",
                "name": session.name,
                "uid": session.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def owner_of(child: dict[str, Any]) -> str | None:
    """The uid of the session, or the App, that a child belongs to; None without one."""
    owners = child["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def is_owned(child: dict[str, Any], uid: str) -> bool:
    """Whether a child belongs to the session with this uid."""
    return owner_of(child) == uid
