"""What the caches keep of Deployments and of the pods of applications and builds."""

from __future__ import annotations

from typing import Any

from codesessions_operator.trim import METADATA, only, ours

Object = dict[str, Any]
_METADATA = (*METADATA, "labels")
_STATUS = ("observedGeneration", "replicas", "updatedReplicas", "availableReplicas", "conditions")
_CONTAINER = ("name", "state", "lastState", "restartCount", "ready")


def trim_resource(item: Object) -> Object:
    """An App or a Build without annotations but ours."""
    return {**item, "metadata": {**ours(item["metadata"]), **only(item["metadata"], _METADATA)}}


def trim_deployment(item: Object) -> Object:
    """A Deployment's revision and counts."""
    annotations = item["metadata"].get("annotations") or {}
    own = {name: value for name, value in annotations.items() if name.startswith("codesessions.dev/")}
    return {
        "metadata": {**only(item["metadata"], _METADATA), "annotations": own},
        "status": only(item.get("status") or {}, _STATUS),
    }


def trim_pod(item: Object) -> Object:
    """What became of a pod's containers."""
    status = item.get("status") or {}
    kept: Object = only(status, ("phase", "reason", "message"))
    kept["conditions"] = [each for each in status.get("conditions") or [] if each.get("type") == "PodScheduled"]
    for name in ("initContainerStatuses", "containerStatuses"):
        kept[name] = [only(each, _CONTAINER) for each in status.get(name) or []]
    return {"metadata": only(item["metadata"], _METADATA), "status": kept}
