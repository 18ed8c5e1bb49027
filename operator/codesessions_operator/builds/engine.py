"""What an engine is: a pure function from what is to be built to the pod that builds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from codesessions_oci.descriptors import is_digest

Object = dict[str, Any]

RESULT_LIMIT = 4096
"""Bytes that the kubelet keeps of a termination log."""


@dataclass(frozen=True)
class BuildRequest:
    """What a build pod needs to know. Repositories are paths within the registry, without its host."""

    namespace: str
    build: str
    app: str
    source_digest: str
    source_repository: str
    image_repository: str
    engine: str = "auto"
    session_id: str = ""
    user_id: str = ""
    organization_id: str = ""
    requested_at: str = ""
    deadline_seconds: int = 1200
    attempt: int = 1
    credentials_secret: str = ""
    """Secret in the tenant's namespace with `config.json`; empty: none. Only for containers that run none of the
    user's code."""


@dataclass(frozen=True)
class BuildSettings:
    """What the platform says of builds (chart: `build`)."""

    builder_image: str = ""
    runtime_images: tuple[tuple[str, str], ...] = ()
    """Runtime base images: word (static, python, node) and reference in the registry."""
    buildah_image: str = ""
    """What builds Dockerfiles; empty: nothing does."""
    buildah_seccomp_profile: str = ""
    """Profile on the nodes (`localhostProfile`); empty: the pod names none."""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    registry_url: str = ""
    pull_prefix: str = ""
    ca_bundle_config_map: str = ""
    """ConfigMap in the tenant's namespace with `ca.crt`; empty: none."""
    env: tuple[tuple[str, str], ...] = ()
    cpu_request: str = "100m"
    memory_request: str = "256Mi"
    cpu_limit: str = "2"
    memory_limit: str = "2Gi"
    storage_limit: str = "4Gi"
    runtime_class: str = ""


class Engine(Protocol):
    """A way to build."""

    name: str
    refused: str
    """What to do where the namespace refuses the pod; may name `{namespace}`."""

    def pod_spec(self, request: BuildRequest, settings: BuildSettings) -> Object:
        """The `spec` of the pod. Its container `build` prints the log and leaves the result in its termination log."""


@dataclass(frozen=True)
class BuildResult:
    """What a build pod left: an image, or a complaint."""

    image_digest: str = ""
    base_digest: str = ""
    statement_digest: str = ""
    language: str = ""
    code: str = ""
    error: str = ""
    transient: bool = False
    raw: Object = field(default_factory=dict, compare=False)


def read_result(text: object) -> BuildResult | None:
    """The result in a termination log; None if it is none. The user's code can write there: it is checked."""
    try:
        found = json.loads(str(text or "")[:RESULT_LIMIT])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None

    def word(name: str, longest: int) -> str:
        value = found.get(name)
        return value[:longest] if isinstance(value, str) else ""

    def digest(name: str) -> str:
        value = word(name, 71)
        return value if is_digest(value) else ""

    return BuildResult(
        image_digest=digest("imageDigest"),
        base_digest=digest("baseDigest"),
        statement_digest=digest("statementDigest"),
        language=word("language", 64),
        code=word("code", 64),
        error=word("error", 2000),
        transient=found.get("transient") is True,
        raw=found,
    )
