"""Sessions, pods and settings, as the unit tests of the operator need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from codesessions_crds.codesession import CodeSessionSpec, CodeSessionStatus
from codesessions_operator.clock import render
from codesessions_operator.desired.common import Session
from codesessions_operator.desired.pod import pod as built_pod
from codesessions_operator.plan import Observed
from codesessions_operator.settings import Settings

Object = dict[str, Any]
NOW = datetime(2027, 1, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(workspace_image="workspace:1", sidecar_image="sidecar:1", namespace="home")


def at(seconds: float) -> str:
    """A moment, in seconds from NOW."""
    return render(NOW + timedelta(seconds=seconds))


def session(**spec: Any) -> Session:
    model = CodeSessionSpec.model_validate({"projectName": "p", **spec})
    return Session(namespace="demo", name="cs-abc123", uid="uid-cs", spec=model)


def pod(status: Object | None = None, *, uid: str = "uid-pod", made: float = 0, **metadata: Any) -> Object:
    """The pod of the session as the API server has it; `made`: seconds from NOW."""
    found = built_pod(session(), SETTINGS)
    found["metadata"] |= {"uid": uid, "resourceVersion": "1", "creationTimestamp": at(made), **metadata}
    found["spec"]["nodeName"] = "node-1"
    found["status"] = status or {}
    return found


def container(name: str, **state: Object) -> Object:
    return {"name": name, "state": state}


def running(*, ready: bool = True) -> Object:
    """The status of a pod whose shell runs."""
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    return {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "conditions": conditions,
        "initContainerStatuses": [container("pty", running={})],
        "containerStatuses": [container("workspace", running={})],
    }


def ended(code: int, *, phase: str = "Running", reason: str = "Error", message: str = "") -> Object:
    """The status of a pod whose workspace container ended."""
    terminated = {"exitCode": code, "reason": reason, "message": message}
    return {"phase": phase, "containerStatuses": [container("workspace", terminated=terminated)]}


def waiting(name: str, reason: str, message: str = "") -> Object:
    """The status of a pod one of whose containers waits."""
    which = "initContainerStatuses" if name == "pty" else "containerStatuses"
    return {"phase": "Pending", which: [container(name, waiting={"reason": reason, "message": message})]}


def status(
    phase: str | None = None, *, ready: tuple[str, str, str] | None = None, since: float = 0, **more: Any
) -> Any:
    """A CodeSession's status; `ready`: status, reason and message of the condition, since `since` seconds from NOW."""
    found: Object = {"phase": phase, **more}
    if ready is not None:
        words = dict(zip(("status", "reason", "message"), ready, strict=True))
        found["conditions"] = [{"type": "Ready", "lastTransitionTime": at(since), **words}]
    return CodeSessionStatus.model_validate(found)


def observed(
    *,
    spec: Object | None = None,
    status: CodeSessionStatus | None = None,
    pod: Object | None = None,
    claim: Object | None = None,
    now: float = 0,
    created: float = 0,
) -> Observed:
    return Observed(
        session=session(**(spec or {})),
        created=NOW + timedelta(seconds=created),
        status=status or CodeSessionStatus(),
        pod=pod,
        claim=claim,
        now=NOW + timedelta(seconds=now),
    )
