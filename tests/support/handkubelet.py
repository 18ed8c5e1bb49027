"""Pods that a test runs by hand: it says what a kubelet would say, so that rare fates come when they are wanted."""

from __future__ import annotations

import json
from typing import Any

from support.kubectl import Kubectl
from support.session import ready, until

Object = dict[str, Any]
NODE = "node-of-the-test"
EXITED = '{"shell":"exited","code":7}'
API = "codesessions.dev/v1alpha1"


def running(*, is_ready: bool = True, ip: str = "10.244.0.7") -> Object:
    """The status of a pod whose shell runs."""
    now = "2027-01-01T00:00:00Z"
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(is_ready)}]
    return {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": conditions,
        "initContainerStatuses": [_container("pty", {"running": {"startedAt": now}})],
        "containerStatuses": [_container("workspace", {"running": {"startedAt": now}})],
    }


def ended(code: int, *, phase: str = "Running", reason: str = "Error", message: str = "") -> Object:
    """The status of a pod whose workspace container ended."""
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return {"phase": phase, "containerStatuses": [_container("workspace", state)]}


def waiting(name: str, reason: str, message: str = "") -> Object:
    """The status of a pod one of whose containers waits."""
    which = "initContainerStatuses" if name == "pty" else "containerStatuses"
    return {"phase": "Pending", which: [_container(name, {"waiting": {"reason": reason, "message": message}})]}


def _container(name: str, state: Object) -> Object:
    return {"name": name, "image": "x", "imageID": "x", "ready": True, "restartCount": 0, "state": state}


class HandSession:
    """A CodeSession whose pod the test runs by hand."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.name, self.pod_name = name, name.replace("cs-", "ws-", 1)
        self._kubectl = kubectl

    def resource(self) -> Object:
        return self._kubectl.get("codesession", self.name) or {}

    @property
    def status(self) -> Object:
        found: Object = self.resource().get("status") or {}
        return found

    def patch(self, **spec: Any) -> None:
        self._kubectl("patch", "codesession", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def pod(self) -> Object | None:
        return self._kubectl.get("pod", self.pod_name)

    def until_pod(self, *, other_than: str = "") -> str:
        """Wait for a pod (another than the one with this uid); returns its uid."""

        def probe() -> str:
            found = self.pod()
            return found["metadata"]["uid"] if found and found["metadata"]["uid"] != other_than else ""

        uid: str = until(f"{self.name} has a pod", probe, seconds=120)
        return uid

    def bind(self) -> None:
        """As a scheduler does; from now on the pod goes only when its kubelet says so."""
        path = f"/api/v1/namespaces/{self._kubectl.namespace}/pods/{self.pod_name}/binding"
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.pod_name}, "target": target}
        self._kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))

    def says(self, status: Object) -> None:
        """What the kubelet reports."""
        words = ["patch", "pod", self.pod_name, "--subresource=status", "--type=merge", "-p"]
        self._kubectl(*words, json.dumps({"status": status}))

    def is_gone(self) -> None:
        """The kubelet has ended the pod, unless it is gone already: one whose phase says so needs no kubelet."""
        words = ("--force", "--grace-period=0", "--wait=false", "--ignore-not-found")
        self._kubectl("delete", "pod", self.pod_name, *words)

    def is_leaving(self) -> bool:
        """Whether the pod is being deleted, or gone."""
        found = self.pod()
        return found is None or "deletionTimestamp" in found["metadata"]

    def until_phase(self, phase: str, reason: str = "", *, pod: str = "", seconds: float = 120) -> Object:
        """Wait for a phase and a reason of Ready, with a pod of this uid if one is given; returns that condition."""

        def probe() -> Object | None:
            resource = self.resource()
            condition = ready(resource)
            status = resource.get("status") or {}
            matches = status.get("phase") == phase and reason in {"", condition.get("reason")}
            return condition if matches and pod in {"", (status.get("pod") or {}).get("uid")} else None

        try:
            found: Object = until(f"{self.name} is {phase} {reason}", probe, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is: {json.dumps(self.status, indent=1)}") from error
        return found

    def run(self) -> str:
        """Bring it to Running; returns the pod's uid."""
        uid = self.until_pod()
        self.bind()
        self.says(running())
        self.until_phase("Running", "Running", pod=uid)
        return uid

    def events(self) -> list[str]:
        """Reasons of its events, in no particular order: their times are whole seconds."""
        selector = f"--field-selector=involvedObject.name={self.name}"
        return [each["reason"] for each in self._kubectl.list("events", selector)]
