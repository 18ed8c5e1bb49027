"""What a pod's and a claim's status mean for a session. Pure, and a table of cases in the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from codesessions_operator.desired.pod import SIDECAR, WORKSPACE

Object = dict[str, Any]

_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*": ErrImagePull: ')
"""What the kubelet puts before the cause while it waits: the cause alone does not change from second to second."""
_PREEMPTION = re.compile(r" preemption: .*", re.DOTALL)
PULL_FAILURES = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
CREATE_FAILURES = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CreateContainerErr"}
LOST_REASONS = {"PodLost", "OutOfMemory", "ContainerKilled"}
UNPLACED_REASONS = {"Unschedulable", "VolumePending"}
STARTING = ("PodStarting", "The pod is being started.")
_PLACES = ((SIDECAR, "initContainerStatuses"), (WORKSPACE, "containerStatuses"))
KILLED = 128 + 9
"""Exit code of a process that SIGKILL ended."""
START_FAILURES = {"StartError", "ContainerCannotRun"}
LINES = 15
"""Of a container's last lines, in a message."""


class Fate(Enum):
    """What became of a pod."""

    STARTING = auto()
    READY = auto()
    NOT_READY = auto()
    """It was started, and the terminal cannot be reached now."""
    LEAVING = auto()
    """Somebody deleted it."""
    LOST = auto()
    """It is over for a reason that is not the shell's: evicted, out of memory, its node gone."""
    ENDED = auto()
    """The shell ended by itself."""
    IMPOSSIBLE = auto()
    """It can never start."""


@dataclass(frozen=True)
class Facts:
    """A pod's fate, with a reason for programs and a message for people."""

    fate: Fate
    reason: str
    message: str
    exit_code: int | None = None
    terminal: bool = False
    """Every container has ended."""


def read_pod(pod: Object, claim: Object | None) -> Facts:
    """What the pod of a session says."""
    status = pod.get("status") or {}
    terminal = status.get("phase") in {"Succeeded", "Failed"}
    disrupted = _disruption(status)
    if pod["metadata"].get("deletionTimestamp"):
        why = f" ({disrupted})" if disrupted else ""
        message = f"Pod {pod['metadata']['name']} was deleted from outside{why}; {_successor(pod)}"
        return Facts(Fate.LEAVING, "PodTerminating", message, terminal=terminal)
    if disrupted:
        return Facts(Fate.LOST, "PodLost", f"The pod was lost ({disrupted}); {_successor(pod)}", terminal=terminal)
    container = _container(status.get("containerStatuses"), WORKSPACE)
    ended = (container.get("state") or {}).get("terminated")
    if ended:
        return _ended(ended, pod, terminal)
    if terminal:
        message = f"The pod ended ({status.get('message') or status.get('phase')}); {_successor(pod)}"
        return Facts(Fate.LOST, "PodLost", message, terminal=True)
    waiting = _waiting(status, pod)
    if waiting:
        return waiting
    if "running" in (container.get("state") or {}):
        if _condition(status, "Ready").get("status") == "True":
            return Facts(Fate.READY, "Running", "The shell runs; type by REST or at ptyEndpoint.")
        name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName")
        why = _condition(status, "Ready").get("message") or "its sidecar does not answer"
        message = (
            f"The pod runs and cannot be reached ({why}); the shell goes on. See `kubectl describe pod {name}` and"
            f" `kubectl describe node {node}`."
        )
        return Facts(Fate.NOT_READY, "TerminalNotReady", message)
    return _scheduling(status, pod, claim)


def _ended(ended: Object, pod: Object, terminal: bool) -> Facts:
    said = _launcher_words(ended.get("message"))
    code = int(ended.get("exitCode") or 0)
    if ended.get("reason") == "OOMKilled" and code == KILLED:  # the shell itself, whether or not the launcher lived on
        message = (
            f"The workspace ran out of memory; {_successor(pod)} Create sessions with more"
            " spec.workspace.resources.limits.memory if that happens again."
        )
        return Facts(Fate.LOST, "OutOfMemory", message, terminal=terminal)
    if said.get("shell") == "exited":
        message = f"The shell ended with exit code {code}."
        return Facts(Fate.ENDED, "ShellExited", message, exit_code=code, terminal=terminal)
    if said.get("shell") == "not started":
        detail = str(said.get("error"))[:512]
        message = (
            f"The shell could not be started: {detail}. Create a session whose spec.workspace.shell is a program of"
            " its image."
        )
        return Facts(Fate.IMPOSSIBLE, "ShellNotFound", message, exit_code=code, terminal=terminal)
    if ended.get("reason") in START_FAILURES:
        message = f"The workspace container could not be started: {ended.get('message') or ended['reason']}"
        return Facts(Fate.IMPOSSIBLE, "ContainerNotStarted", message, exit_code=code, terminal=terminal)
    why = ended.get("reason") or "no reason"
    message = f"The workspace container was killed (exit code {code}, {why}); {_successor(pod)}"
    return Facts(Fate.LOST, "ContainerKilled", message, terminal=terminal)


def _successor(pod: Object) -> str:
    volumes = (pod.get("spec") or {}).get("volumes") or []
    kept = not any(each.get("name") == "data" and "emptyDir" in each for each in volumes)
    return f"another one follows. Files and transcript are {'kept' if kept else 'lost, its storage is ephemeral'}."


def _launcher_words(text: object) -> Object:
    """What the launcher wrote to its termination log. The user can write there too: take it as a hint, no more."""
    try:
        found = json.loads(str(text or ""))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _disruption(status: Object) -> str:
    """Why the pod was taken away, if it was (Kubernetes: pod disruption conditions)."""
    target = _condition(status, "DisruptionTarget")
    if target.get("status") == "True":
        return f"{target.get('reason')}: {target.get('message') or ''}".rstrip(": ")
    if status.get("phase") == "Failed" and status.get("reason"):
        return f"{status['reason']}: {status.get('message') or ''}".rstrip(": ")
    return ""


def waiting_words(pod: Object, claim: Object | None) -> str:
    """Why a pod of whatever containers does not start yet; empty if it merely takes its time."""
    status = pod.get("status") or {}
    names = [str(each.get("name")) for each in (pod.get("spec") or {}).get("containers") or []]
    found = _waiting(status, pod, [(name, "containerStatuses") for name in names]) or _scheduling(status, pod, claim)
    return "" if found.reason == STARTING[0] else found.message


def _waiting(status: Object, pod: Object, places: Iterable[tuple[str, str]] = _PLACES) -> Facts | None:
    for name, list_name in places:
        state = _container(status.get(list_name), name).get("state") or {}
        waiting = state.get("waiting") or {}
        reason, detail = waiting.get("reason"), waiting.get("message") or ""
        if reason in PULL_FAILURES:
            image = _image(pod, name)
            advice = "Check its name, and spec.workspace.imagePullSecrets."
            why = _BACK_OFF.sub("", detail) or reason
            message = f"Image {image} cannot be pulled: {why}. {advice}"
            return Facts(Fate.STARTING, "ImagePullFailed", message)
        if reason in CREATE_FAILURES:
            message = (
                f"Container {name} cannot be created ({reason}): {detail}. Check what spec.workspace refers to, for"
                " instance the Secrets of envFrom."
            )
            return Facts(Fate.STARTING, "ContainerConfigInvalid", message)
        if reason == "CrashLoopBackOff":
            message = (
                f"Container {name} ends again and again ({_last_end(_container(status.get(list_name), name))}); see"
                f" `kubectl logs {pod['metadata']['name']} -c {name} --previous`."
            )
            return Facts(Fate.STARTING, "SidecarFailing", message)
    return None


def _last_end(container: Object) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    words = ended.get("message") or ended.get("reason") or "no reason"
    return f"exit code {ended.get('exitCode', '?')}, {words}"


def _scheduling(status: Object, pod: Object, claim: Object | None) -> Facts:
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") != "False":
        return Facts(Fate.STARTING, STARTING[0], _sandbox(status, pod))
    detail = _PREEMPTION.sub("", str(scheduled.get("message") or ""))
    bound = claim is None or (claim.get("status") or {}).get("phase") == "Bound"
    if not bound and any(word in detail.lower() for word in ("storageclass", "persistentvolume", "volume")):
        wanted = ((claim or {}).get("spec") or {}).get("storageClassName") or "of the cluster's default"
        message = f"The volume is not there yet (StorageClass {wanted}): {detail} Check `kubectl get storageclass`."
        return Facts(Fate.STARTING, "VolumePending", message)
    message = (
        f"No node takes the pod: {detail} Ask for less in spec.workspace (resources, nodeSelector, tolerations), or"
        " add a node."
    )
    return Facts(Fate.STARTING, "Unschedulable", message)


def _sandbox(status: Object, pod: Object) -> str:
    """What a node has not done yet (KEP-3085): why not is in events alone."""
    if _condition(status, "PodReadyToStartContainers").get("status") != "False":
        return STARTING[1]
    spec = pod.get("spec") or {}
    needs = "volumes, network" + (" and user namespace (hostUsers: false)" if spec.get("hostUsers") is False else "")
    return (
        f"Node {spec.get('nodeName')} has not made the pod's sandbox yet, with its {needs}: the events of"
        f" `kubectl describe pod {pod['metadata']['name']}` say why."
    )


def _container(statuses: object, name: str) -> Object:
    items = statuses if isinstance(statuses, list) else []
    return next((item for item in items if item.get("name") == name), {})


def _condition(status: Object, kind: str) -> Object:
    return next((each for each in status.get("conditions") or [] if each.get("type") == kind), {})


def _image(pod: Object, name: str) -> str:
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    return next((str(each.get("image")) for each in containers if each.get("name") == name), "?")


def tail(said: str, most: int = LINES) -> str:
    """The last lines, where what went wrong stands: before them a traceback has what nobody reads."""
    return "\n".join(said.splitlines()[-most:])
