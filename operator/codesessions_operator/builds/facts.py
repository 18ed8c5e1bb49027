"""What a build pod says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from codesessions_operator.builds.engine import BuildResult, read_result
from codesessions_operator.builds.pod import CONTAINER
from codesessions_operator.facts import CREATE_FAILURES, PULL_FAILURES, tail

Object = dict[str, Any]


class BuildState(Enum):
    """What became of a build pod."""

    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    LOST = auto()
    """Evicted, deleted, its node gone: not the project's fault."""


@dataclass(frozen=True)
class BuildFacts:
    """The state, with a reason for programs and a message for people."""

    state: BuildState
    reason: str
    message: str
    result: BuildResult = field(default_factory=BuildResult)


def read_build_pod(pod: Object) -> BuildFacts:
    """How a build is, by its pod."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return BuildFacts(BuildState.LOST, "PodDeleted", "The build pod was deleted.")
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    build: Object = next((each for each in containers if each.get("name") == CONTAINER), {})
    ended = (build.get("state") or {}).get("terminated")
    if ended and int(ended.get("exitCode") or 0) != 0:
        return _failed(ended, status)
    if ended:
        result = read_result(ended.get("message"))
        if result is None or not result.image_digest:
            return BuildFacts(BuildState.FAILED, "ResultMissing", "The build pod ended without naming an image.")
        return BuildFacts(BuildState.DONE, "Built", "The image was built.", result)
    if status.get("phase") in {"Failed", "Succeeded"}:  # a container before it has failed
        for container in containers:
            ended = (container.get("state") or {}).get("terminated")
            if ended and int(ended.get("exitCode") or 0) != 0:
                return _failed(ended, status)
    if status.get("phase") == "Failed":
        return _ended_by_others(status)
    return BuildFacts(BuildState.RUNNING, *_progress(status, containers))


def _failed(ended: Object, status: Object) -> BuildFacts:
    result = read_result(ended.get("message"))
    if result is not None and result.error:
        state = BuildState.LOST if result.transient else BuildState.FAILED
        return BuildFacts(state, camel(result.code) or "BuildFailed", result.error, result)
    if status.get("reason"):
        return _ended_by_others(status)
    code = int(ended.get("exitCode") or 0)
    if ended.get("reason") == "OOMKilled":
        return BuildFacts(BuildState.FAILED, "OutOfMemory", "The build ran out of memory.")
    said = plain(str(ended.get("message") or ""))
    words = f" {dockerfile_advice(said)} Its last lines:\n{tail(said)}" if said else " The build's log has more."
    return BuildFacts(BuildState.FAILED, "BuildFailed", f"The build ended with exit code {code}.{words}")


_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"certificate signed by unknown authority|failed to verify certificate|CERTIFICATE_VERIFY_FAILED",
        "The build pod does not trust that certificate: the platform names an authority of its own by the chart's value"
        " build.caConfigMap.",
    ),
    (
        r"dial tcp|: Forbidden|no such host|i/o timeout|connection refused|Temporary failure|Could not resolve"
        r"|proxyconnect|pinging container registry",
        "The build pod does not reach that host: the platform opens a way out by the chart's values build.env"
        " (HTTPS_PROXY); take a base image from a registry that it reaches.",
    ),
    (
        r"unauthorized|authentication required|access .* denied|denied:",
        "Base images are pulled without credentials: take one that everybody may pull.",
    ),
    (
        r"manifest unknown|name unknown|not found: manifest|reading manifest",
        "There is no such base image: check the name and tag after FROM.",
    ),
    (
        r"(COPY|ADD).*(no such file|no items matching|no source files)|copier: (stat|get)",
        "What COPY and ADD name has to be in the workspace, and not be left out: .dockerignore and .csignore do that,"
        " and .env, keys, node_modules and virtual environments never come along.",
    ),
    (
        r"[Uu]nknown instruction|parse error|[Ss]yntax error|no FROM|no build stage|no contents in",
        "Correct that line of the Dockerfile.",
    ),
    (r"while running runtime|building at STEP \"RUN", "Correct that command, or install before it what it needs."),
)
"""What buildah, and what it runs, say of a failure; and what to do. The first that fits."""


_NOISE = re.compile(
    r"^(Trying to pull |Getting image source|Copying (blob|config) |Writing manifest|Storing signatures"
    r"|time=\"[^\"]*\" level=error msg=\"\+\(UNHANDLED|\[Warning\] one or more build args)"
)
_INNARDS = re.compile(r" ?&imagebuilder\.Step\{.*")


def plain(said: str) -> str:
    """The last lines of buildah without its inner life, which has all the environment in it."""
    lines = [_INNARDS.sub("", line) for line in said.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines).strip()


def dockerfile_advice(said: str) -> str:
    """What to do about the last lines of a Dockerfile's build."""
    found = next((advice for pattern, advice in _ADVICE if re.search(pattern, said)), "")
    return found or "Correct what it complains of, and deploy again; the build's log has all of it."


def camel(code: str) -> str:
    """`no_language` -> `NoLanguage`, as conditions have reasons (Kubernetes API conventions)."""
    words = "".join(word[:1].upper() + word[1:] for word in code.split("_"))
    return words if words.isascii() and words.isalnum() and words[:1].isalpha() else ""


def _ended_by_others(status: Object) -> BuildFacts:
    reason, message = status.get("reason") or "PodLost", status.get("message") or "no message"
    if reason == "DeadlineExceeded":
        return BuildFacts(BuildState.FAILED, reason, "The build took longer than deadlineSeconds.")
    return BuildFacts(BuildState.LOST, "PodLost", f"The build pod was lost ({reason}: {message}).")


def _progress(status: Object, containers: list[Object]) -> tuple[str, str]:
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in PULL_FAILURES | CREATE_FAILURES:
            return str(
                waiting["reason"]
            ), f"The build pod does not start: {waiting.get('message') or waiting['reason']}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return "Unschedulable", f"No node takes the build pod: {condition.get('message')}"
    return "Building", "The image is being built."
