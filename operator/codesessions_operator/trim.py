"""What the caches keep of an object: what `facts` and `plan` read. A pod is 8 KB on the wire and 30 KB as a dict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from codesessions_crds.names import KEY_LABEL, REQUEST_ID_ANNOTATION, TRACE_ANNOTATION

Object = dict[str, Any]

METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "ownerReferences",
)
_POD_STATUS = ("phase", "reason", "message", "podIP")
_CONDITIONS = {"Ready", "PodReadyToStartContainers", "PodScheduled", "DisruptionTarget"}


def only(item: Object, names: Iterable[str]) -> Object:
    """The members of these names, as far as there are any."""
    return {name: item[name] for name in names if name in item}


def ours(metadata: Object) -> Object:
    """The labels and annotations that the REST API puts on what it makes."""
    labels = only(metadata.get("labels") or {}, (KEY_LABEL,))
    annotations = only(metadata.get("annotations") or {}, (REQUEST_ID_ANNOTATION, TRACE_ANNOTATION))
    found = {"labels": labels, "annotations": annotations}
    return {name: value for name, value in found.items() if value}


def trim_session(item: Object) -> Object:
    """A CodeSession without labels and annotations but ours: kubectl apply makes one of all of it."""
    return {**item, "metadata": {**only(item["metadata"], METADATA), **ours(item["metadata"])}}


def trim_claim(item: Object) -> Object:
    """A PersistentVolumeClaim's class and phase."""
    return {
        "metadata": only(item["metadata"], METADATA),
        "spec": only(item.get("spec") or {}, ["storageClassName"]),
        "status": only(item.get("status") or {}, ["phase"]),
    }


def trim_pod(item: Object) -> Object:
    """A pod's owner, node, images, the kind of its volumes, and what became of its containers."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    kept: Object = only(status, _POD_STATUS)
    kept["conditions"] = [each for each in status.get("conditions") or [] if each.get("type") in _CONDITIONS]
    for name in ("initContainerStatuses", "containerStatuses"):
        kept[name] = [only(each, ("name", "state", "lastState")) for each in status.get(name) or []]
    return {
        "metadata": only(item["metadata"], METADATA),
        "spec": {
            **only(spec, ["nodeName", "hostUsers"]),
            **{
                name: [only(each, ("name", "image")) for each in spec.get(name) or []]
                for name in ("initContainers", "containers")
            },
            "volumes": [only(each, ("name", "emptyDir")) for each in spec.get("volumes") or []],
        },
        "status": kept,
    }
