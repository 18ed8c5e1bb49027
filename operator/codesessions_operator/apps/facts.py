"""What the Deployment and the pods of an App say of a revision. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from codesessions_operator.apps.objects import CONTAINER, REVISION_LABEL
from codesessions_operator.clock import parse
from codesessions_operator.facts import CREATE_FAILURES, PULL_FAILURES, tail

Object = dict[str, Any]
CRASHES = 2
"""After so many ends of its container a pod that is not ready is not waited for any longer."""
PULL_PATIENCE_SECONDS = 60.0
MISSING_PACKAGE = (
    "A module is missing: if it is of a package, name that among the project's dependencies (requirements.txt,"
    " pyproject.toml, package.json) and deploy again."
)
_NO_PACKAGE = re.compile(r"ModuleNotFoundError: No module named|Cannot find (module|package)|ERR_MODULE_NOT_FOUND")


class Rollout(Enum):
    """How far a revision is."""

    PROGRESSING = auto()
    AVAILABLE = auto()
    BROKEN = auto()
    """It will not come up by itself."""


@dataclass(frozen=True)
class RolloutFacts:
    """How far, why, and how many pods get requests."""

    rollout: Rollout
    reason: str
    message: str
    available: int = 0


def read_rollout(
    deployment: Object | None, pods: Sequence[Object], number: int, replicas: int, now: datetime
) -> RolloutFacts:
    """How the rollout of revision `number` is (as `kubectl rollout status` decides)."""
    status = (deployment or {}).get("status") or {}
    available = int(status.get("availableReplicas") or 0)
    mine = revision_of(pods, number)
    if deployment is None:
        return RolloutFacts(Rollout.PROGRESSING, "RollingOut", "The Deployment is being made.")
    annotation = (deployment["metadata"].get("annotations") or {}).get(REVISION_LABEL)
    generation = deployment["metadata"].get("generation", 0)
    current = annotation == str(number) and int(status.get("observedGeneration") or 0) >= generation
    updated = int(status.get("updatedReplicas") or 0)
    if current and updated == replicas == available == int(status.get("replicas") or 0):
        return RolloutFacts(Rollout.AVAILABLE, "Available", f"Revision {number} serves.", available)
    for pod in mine:
        broken = _broken(pod, now)
        if broken is not None:
            return RolloutFacts(Rollout.BROKEN, *broken, available)
    reason, message = _why(deployment, mine, number)
    return RolloutFacts(Rollout.PROGRESSING, reason, message, available)


def revision_of(pods: Sequence[Object], number: int) -> list[Object]:
    """The pods of a revision that are to stay."""
    return [pod for pod in pods if _revision(pod) == number and not pod["metadata"].get("deletionTimestamp")]


def _revision(pod: Object) -> int:
    text = (pod["metadata"].get("labels") or {}).get(REVISION_LABEL, "")
    return int(text) if text.isdigit() else 0


def container_of(pod: Object) -> Object:
    """The status of the application's container."""
    found = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in found if each.get("name") == CONTAINER), {})


def last_words(container: Object) -> str:
    """Exit code and last lines of a container's last end."""
    state, before = container.get("state") or {}, container.get("lastState") or {}
    ended = state.get("terminated") or before.get("terminated") or {}
    said = str(ended.get("message") or "").strip()
    why = f"exit code {ended.get('exitCode', '?')}"
    if ended.get("exitCode") == 0:
        why += " (it has to go on running, in the foreground, and to listen on $PORT)"
    if ended.get("reason") not in {None, "Error", "Completed"}:
        why += f", {ended['reason']}"
    if not said:
        return f"{why}, and it said nothing."
    advice = f"{MISSING_PACKAGE} " if _NO_PACKAGE.search(said) else ""
    return f"{why}. {advice}Its last lines:\n{tail(said)}"


def _broken(pod: Object, now: datetime) -> tuple[str, str] | None:
    container = container_of(pod)
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason")
    restarts = int(container.get("restartCount") or 0)
    if reason == "CrashLoopBackOff" or (restarts >= CRASHES and not container.get("ready")):
        return "CrashLooping", f"The application ends again and again: {last_words(container)}"
    if reason in PULL_FAILURES:
        made = parse(pod["metadata"].get("creationTimestamp")) or now
        if (now - made).total_seconds() > PULL_PATIENCE_SECONDS or reason == "InvalidImageName":
            return "ImagePullFailed", f"The image cannot be pulled: {waiting.get('message') or reason}"
    return None


def _why(deployment: Object, pods: Sequence[Object], number: int) -> tuple[str, str]:
    """What a rollout that goes on waits for."""
    for condition in (deployment.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return "PodsRefused", f"No pod can be made: {condition.get('message')}"
    for pod in pods:
        waiting = (container_of(pod).get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in PULL_FAILURES | CREATE_FAILURES:
            return str(waiting["reason"]), f"{waiting['reason']}: {waiting.get('message') or ''}"
        for condition in (pod.get("status") or {}).get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return "Unschedulable", f"No node takes the pod: {condition.get('message')}"
    waits = any("running" in (container_of(pod).get("state") or {}) for pod in pods)
    if waits:
        message = (
            f"Revision {number} runs and does not take connections at its port yet: it has to listen on 0.0.0.0 at"
            " $PORT, not on 127.0.0.1 or at another port."
        )
        return "NotReady", message
    return "RollingOut", f"Revision {number} is being rolled out."


def read_health(deployment: Object | None, pods: Sequence[Object]) -> tuple[str, str] | None:
    """Why an App that was available is not: reason and message, or None for what is not known."""
    for pod in pods:
        container = container_of(pod)
        if not container.get("ready") and (container.get("lastState") or {}).get("terminated"):
            return "CrashLooping", f"The application ends again and again: {last_words(container)}"
    if deployment is None:
        return "NotAvailable", "The Deployment is being made anew."
    return None
