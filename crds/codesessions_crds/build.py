"""The Build: one way from a session's files, or from a source artifact, to an image that an App runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from codesessions_crds.app import Digest, SessionName
from codesessions_crds.meta import Condition, Resource, Timestamp
from codesessions_crds.names import APP_NAME_PATTERN


class Engine(StrEnum):
    """How an image is made."""

    AUTO = "auto"
    LAYERS = "layers"
    BUILDAH = "buildah"


class BuildPhase(StrEnum):
    """How far a Build is."""

    ZIPPING = "Zipping"
    BUILDING = "Building"
    ROLLING_OUT = "RollingOut"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    SUPERSEDED = "Superseded"

    @property
    def finished(self) -> bool:
        """Whether nothing comes after it."""
        return self in {BuildPhase.SUCCEEDED, BuildPhase.FAILED, BuildPhase.CANCELLED, BuildPhase.SUPERSEDED}


class BuildSpec(Resource):
    app_name: Annotated[str, Field(max_length=44, pattern=APP_NAME_PATTERN)] = Field(
        description="The App it is for. Immutable."
    )
    session_name: SessionName | None = Field(
        default=None, description="The CodeSession whose files are built; absent: sourceDigest is. Immutable."
    )
    source_digest: Digest | None = Field(
        default=None, description="A source artifact that is in the registry already; it is built anew. Immutable."
    )
    engine: Engine = Field(default=Engine.AUTO, description="How: auto, layers or buildah. Immutable.")
    user_id: str = Field(default="", max_length=128, description="Who asked for it. Immutable.")
    requested_at: Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})] | None = Field(
        default=None,
        description="When it was asked for, to the microsecond; the newest of an App supersedes. Absent: its creation."
        " Immutable.",
    )
    deadline_seconds: int = Field(
        default=1200, ge=30, le=86_400, description="Seconds after which it has failed, whatever it is at. Immutable."
    )
    cancelled: bool = Field(default=False, description="True: it stops, wherever it is. Final.")


class PhaseTimes(Resource):
    phase: BuildPhase = Field(description="The phase.")
    started_at: Timestamp = Field(description="When it began.")
    finished_at: Timestamp | None = Field(default=None, description="When the next one began.")


class BuildStatus(Resource):
    phase: BuildPhase | None = Field(
        default=None, description="Zipping, Building, RollingOut, Succeeded, Failed, Cancelled or Superseded."
    )
    observed_generation: int | None = Field(default=None, description="The generation this status is about.")
    phases: list[PhaseTimes] | None = Field(default=None, max_length=16, description="When each phase began and ended.")
    source_digest: str | None = Field(default=None, max_length=71, description="Digest of the source that is built.")
    source_bytes: int | None = Field(default=None, description="Size of the zip in bytes.")
    image: str | None = Field(default=None, max_length=480, description="The image it made, by digest.")
    base_digest: str | None = Field(default=None, max_length=71, description="Digest of the image it was put on.")
    statement_digest: str | None = Field(
        default=None, max_length=71, description="Digest of the provenance statement that refers to the image."
    )
    language: str | None = Field(default=None, max_length=64, description="What was found in the source.")
    log_digest: str | None = Field(
        default=None, max_length=71, description="Digest of the artifact that keeps the log after the pod is gone."
    )
    pod: str | None = Field(default=None, max_length=253, description="The pod that builds, or built.")
    containers: list[Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=16, description="Its containers, in the order in which their logs are read."
    )
    attempts: int | None = Field(default=None, description="How often its pod was started.")
    revision: int | None = Field(default=None, description="The App's revision it became.")
    pruned: bool | None = Field(default=None, description="True: image, source and log were deleted to make room.")
    started_at: Timestamp | None = Field(default=None, description="When it began.")
    finished_at: Timestamp | None = Field(default=None, description="When it ended.")
    updated_at: Timestamp | None = Field(default=None, description="When this status changed last.")
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="Observations; Ready is always there and its message says what to do.",
    )


class Build(Resource):
    """A Build makes an image of a session's files, or of a source artifact, and an App runs it."""

    spec: BuildSpec = Field(description="What is wanted.")
    status: BuildStatus | None = Field(default=None, description="What was observed by the operator.")


_IMMUTABLE = ("sessionName", "sourceDigest", "requestedAt")
RULES: list[dict[str, str]] = [
    {
        "rule": "has(self.sessionName) != has(self.sourceDigest)",
        "message": "set one of sessionName and sourceDigest",
    },
    *(
        {"rule": f"self.{name} == oldSelf.{name}", "message": f"{name} is immutable: create a new Build"}
        for name in ("appName", "engine", "userId", "deadlineSeconds")
    ),
    *(
        {
            "rule": f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
            "message": f"{name} is immutable: create a new Build",
        }
        for name in _IMMUTABLE
    ),
    {"rule": "!oldSelf.cancelled || self.cancelled", "message": "cancelled is final: create a new Build"},
]

COLUMNS: list[dict[str, Any]] = [
    {"name": "App", "type": "string", "jsonPath": ".spec.appName"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"},
    {"name": "Revision", "type": "integer", "jsonPath": ".status.revision"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Language", "type": "string", "jsonPath": ".status.language", "priority": 1},
    {"name": "User", "type": "string", "jsonPath": ".spec.userId", "priority": 1},
    {"name": "Source", "type": "string", "jsonPath": ".status.sourceDigest", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".status.image", "priority": 1},
    {
        "name": "Message",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].message",
        "priority": 1,
    },
]
