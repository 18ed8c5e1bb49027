"""The pod of the slow way: the sidecar alone, which serves a transcript from the volume of a session that has ended.

It has the name of the session's pod, so that no two pods use the volume at once.
"""

from __future__ import annotations

from typing import Any

from codesessions_operator.desired.common import Session
from codesessions_operator.desired.pod import DATA_DIR, SIDECAR
from codesessions_operator.desired.pod import pod as session_pod
from codesessions_operator.settings import Settings

NAME = "archive"
DEADLINE_SECONDS = 900
"""After so long it has ended whatever becomes of the operator (Kubernetes: activeDeadlineSeconds)."""
_KEPT = {"name", "image", "imagePullPolicy", "ports", "env", "readinessProbe", "securityContext", "resources"}


def archive_pod(session: Session, settings: Settings) -> dict[str, Any]:
    """The session's own pod without its workspace, and of its volume nothing but the transcript."""
    made = session_pod(session, settings)
    spec = made["spec"]
    (sidecar,) = (each for each in spec.pop("initContainers") if each["name"] == SIDECAR)
    container = {name: value for name, value in sidecar.items() if name in _KEPT}
    container["name"] = NAME
    container["env"] = [
        *(each for each in sidecar["env"] if each["name"] != "CODESESSIONS_LINGER_SECONDS"),
        {"name": "CODESESSIONS_ARCHIVE", "value": "true"},
    ]
    container["readinessProbe"] = {**sidecar["readinessProbe"], "periodSeconds": 1}
    mounts = [each for each in sidecar["volumeMounts"] if each["name"] != "data"]
    container["volumeMounts"] = [*mounts, {"name": "data", "mountPath": DATA_DIR, "subPath": "terminal"}]
    spec["containers"] = [container]
    spec["terminationGracePeriodSeconds"] = 5
    spec["activeDeadlineSeconds"] = DEADLINE_SECONDS
    return made


def is_archive_pod(pod: dict[str, Any]) -> bool:
    """Whether it is one; of the spec only the containers' names are looked at."""
    return any(each.get("name") == NAME for each in (pod.get("spec") or {}).get("containers") or [])
