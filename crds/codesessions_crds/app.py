"""The App: a running web application at a host name of its own, made of a session's files or of an image."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from codesessions_crds.codesession import EnvFromSource, EnvVar, ImagePullSecret, Resources
from codesessions_crds.meta import Condition, Resource, Timestamp
from codesessions_crds.names import NAME_PATTERN

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
IMAGE_PATTERN = r"^[^\s@]{1,400}@sha256:[0-9a-f]{64}$"
HOST_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$"
MAX_REVISIONS = 50

Digest = Annotated[str, Field(max_length=71, pattern=DIGEST_PATTERN)]
Image = Annotated[str, Field(max_length=480, pattern=IMAGE_PATTERN)]
SessionName = Annotated[str, Field(max_length=43, pattern=NAME_PATTERN)]


class AppPhase(StrEnum):
    """How an App is."""

    DEPLOYING = "Deploying"
    RUNNING = "Running"
    FAILED = "Failed"


class Readiness(Resource):
    path: str | None = Field(
        default=None,
        max_length=512,
        pattern=r"^/[!-~]*$",
        description="Path that answers 200 to 399 once the application is ready; absent: it is ready when its port"
        " takes connections.",
    )
    initial_delay_seconds: int = Field(default=0, ge=0, le=600, description="Seconds before it is asked first.")


class AppSpec(Resource):
    session_name: SessionName | None = Field(
        default=None, description="The CodeSession whose files are deployed; absent: an image or a source. Immutable."
    )
    source: Digest | None = Field(
        default=None,
        description="Digest of a source artifact in the registry, of this namespace; a change of it is built and rolled"
        " out.",
    )
    image: Image | None = Field(
        default=None, description="Image by digest (NAME@sha256:...); a change of it is rolled out without a build."
    )
    host: str | None = Field(
        default=None,
        max_length=253,
        pattern=HOST_PATTERN,
        description="Host name; absent: made of name and namespace below the operator's domain for applications.",
    )
    port: int = Field(
        default=8080,
        ge=1024,
        le=65_535,
        description="TCP port the application listens on, at every address; it is told as PORT.",
    )
    env: list[EnvVar] | None = Field(
        default=None,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Environment variables of the application.",
    )
    env_from: list[EnvFromSource] | None = Field(
        default=None, max_length=8, description="Secrets whose keys become environment variables."
    )
    image_pull_secrets: list[ImagePullSecret] | None = Field(
        default=None, max_length=8, description="Credentials for the image's registry, besides the operator's."
    )
    replicas: int = Field(default=1, ge=0, le=50, description="How many pods run it.")
    resources: Resources | None = Field(default=None, description="Compute resources of each pod.")
    readiness: Readiness | None = Field(default=None, description="When a pod may get requests.")
    rollout_timeout_seconds: int = Field(
        default=300, ge=10, le=3600, description="Seconds after which a revision that is not available has failed."
    )
    revision: int | None = Field(
        default=None,
        ge=1,
        le=2_000_000_000,
        description="Number of the revision to run; absent: the newest that did not fail. Set it to roll back.",
    )
    revision_history_limit: int = Field(
        default=5, ge=1, le=MAX_REVISIONS - 10, description="How many revisions are kept for a rollback."
    )


class Revision(Resource):
    number: int = Field(description="1, 2, 3 ...; never used twice.")
    image: str = Field(max_length=480, description="Image, by digest.")
    build: str | None = Field(default=None, max_length=253, description="The Build that made it.")
    source_digest: str | None = Field(default=None, max_length=71, description="Digest of the source it was made of.")
    created_at: Timestamp = Field(description="When it became a revision.")
    failed: bool | None = Field(default=None, description="True: its rollout failed; it is not run unless asked for.")
    message: str | None = Field(default=None, max_length=8192, description="Why its rollout failed.")


class AppStatus(Resource):
    phase: AppPhase | None = Field(default=None, description="Deploying, Running or Failed.")
    observed_generation: int | None = Field(default=None, description="The generation this status is about.")
    url: str | None = Field(default=None, max_length=1024, description="Where the application answers.")
    host: str | None = Field(default=None, max_length=253, description="Its host name.")
    revision: int | None = Field(default=None, description="Number of the revision that gets the requests.")
    image: str | None = Field(default=None, max_length=480, description="Image of that revision.")
    target_revision: int | None = Field(default=None, description="Number of the revision that is rolled out.")
    rollout_started_at: Timestamp | None = Field(default=None, description="When that rollout began.")
    last_revision: int | None = Field(default=None, description="The highest number given so far.")
    available_replicas: int | None = Field(default=None, description="How many pods get requests.")
    build: str | None = Field(default=None, max_length=253, description="The newest Build.")
    revisions: list[Revision] | None = Field(
        default=None, max_length=MAX_REVISIONS, description="What can be rolled back to, newest last."
    )
    updated_at: Timestamp | None = Field(default=None, description="When this status changed last.")
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="Observations; Ready is always there and its message says what to do.",
    )


class App(Resource):
    """An App is a web application that runs at a host name of its own, revision by revision."""

    spec: AppSpec = Field(description="What is wanted.")
    status: AppStatus | None = Field(default=None, description="What was observed by the operator.")


RULES: list[dict[str, str]] = [
    {
        "rule": "(has(self.sessionName) ? 1 : 0) + (has(self.source) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1",
        "message": "set one of sessionName, source and image",
    },
    {
        "rule": "has(self.sessionName) == has(oldSelf.sessionName)"
        " && (!has(self.sessionName) || self.sessionName == oldSelf.sessionName)",
        "message": "sessionName is immutable: create a new App",
    },
]

COLUMNS: list[dict[str, Any]] = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"},
    {"name": "Revision", "type": "integer", "jsonPath": ".status.revision"},
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Session", "type": "string", "jsonPath": ".spec.sessionName", "priority": 1},
    {"name": "Build", "type": "string", "jsonPath": ".status.build", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".status.image", "priority": 1},
    {
        "name": "Message",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].message",
        "priority": 1,
    },
]
