"""The CodeSession: an interactive shell in a pod."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from codesessions_crds.meta import Condition, Name, Quantity, Resource, Timestamp


class State(StrEnum):
    """What is wanted of a session."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"


class Phase(StrEnum):
    """How far a session is."""

    CREATING = "Creating"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def finished(self) -> bool:
        """Whether nothing comes after it."""
        return self in {Phase.COMPLETED, Phase.FAILED}


class ImagePullSecret(Resource):
    name: Name = Field(description="Name of a Secret of type kubernetes.io/dockerconfigjson in the same namespace.")


class EnvVar(Resource):
    name: str = Field(
        max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the environment variable."
    )
    value: str = Field(default="", max_length=32768, description="Its value, as it is; nothing is expanded.")


class SecretRef(Resource):
    name: Name = Field(description="Name of a Secret in the same namespace.")


class EnvFromSource(Resource):
    secret_ref: SecretRef = Field(description="The Secret whose keys become environment variables.")


ResourceList = Annotated[dict[str, Quantity], Field(max_length=16)]


class Resources(Resource):
    requests: ResourceList | None = Field(default=None, description="What the scheduler sets aside: cpu, memory.")
    limits: ResourceList | None = Field(default=None, description="What the workspace cannot exceed: cpu, memory.")


class Storage(Resource):
    size: Quantity | None = Field(default=None, description="Size of the volume that holds files and transcript.")
    storage_class_name: Name | None = Field(
        default=None, description="StorageClass of the volume; absent: the operator's or the cluster's default."
    )
    ephemeral: bool = Field(
        default=False, description="True: no volume; files and transcript live as long as the pod does."
    )


class Toleration(Resource):
    key: str | None = Field(
        default=None, max_length=317, description="The taint's key; absent with operator Exists: any."
    )
    operator: str | None = Field(
        default=None, json_schema_extra={"enum": ["Exists", "Equal"]}, description="How key and value are compared."
    )
    value: str | None = Field(default=None, max_length=63, description="The taint's value.")
    effect: str | None = Field(
        default=None,
        json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
        description="The taint's effect; absent: all effects.",
    )
    toleration_seconds: int | None = Field(default=None, description="How long NoExecute is tolerated, in seconds.")


Word = Annotated[str, Field(max_length=4096)]


class Workspace(Resource):
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="Container image of the workspace; any image with a shell.",
    )
    image_pull_policy: str | None = Field(
        default=None,
        json_schema_extra={"enum": ["Always", "IfNotPresent", "Never"]},
        description="When the image is pulled.",
    )
    image_pull_secrets: list[ImagePullSecret] | None = Field(
        default=None, max_length=8, description="Credentials for the image's registry."
    )
    shell: list[Word] | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description="Program and arguments; absent: $SHELL of the image, then /bin/bash, then /bin/sh.",
    )
    run_as_user: int | None = Field(
        default=None, ge=1, le=2_000_000_000, description="Numeric user and group of the shell; never root."
    )
    env: list[EnvVar] | None = Field(
        default=None,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="Environment variables of the shell.",
    )
    env_from: list[EnvFromSource] | None = Field(
        default=None, max_length=8, description="Secrets whose keys become environment variables."
    )
    resources: Resources | None = Field(default=None, description="Compute resources of the workspace container.")
    storage: Storage | None = Field(default=None, description="The volume at /workspace.")
    runtime_class_name: Name | None = Field(default=None, description="RuntimeClass of the pod, for instance gvisor.")
    host_users: bool | None = Field(
        default=None,
        json_schema_extra={"enum": [False]},
        description="false: a user namespace of its own; absent: as the platform says.",
    )
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=16, description="Labels a node must have."
    )
    tolerations: list[Toleration] | None = Field(default=None, max_length=16, description="Taints that are tolerated.")


class CodeSessionSpec(Resource):
    project_name: str = Field(min_length=1, max_length=128, description="Name of the project, for people. Immutable.")
    project_description: str = Field(default="", max_length=4096, description="What the project is about, for people.")
    user_id: str = Field(default="", max_length=128, description="Who the session belongs to. Immutable.")
    state: State = Field(
        default=State.RUNNING, description="What is wanted: Running, Suspended or Completed. Completed is final."
    )
    workspace: Workspace | None = Field(
        default=None, description="The workspace; what is absent comes from the operator's settings. Immutable."
    )
    start_timeout_seconds: int = Field(
        default=120, ge=5, le=86_400, description="Seconds after which a session that does not start is Failed."
    )
    max_duration_seconds: int = Field(
        default=0, ge=0, le=31_536_000, description="Seconds from its start after which it is completed; 0: no limit."
    )
    ttl_seconds_after_finished: int = Field(
        default=604_800,
        ge=0,
        le=315_360_000,
        description="Seconds after its end until the record is deleted; 0: never.",
    )


class PodReference(Resource):
    name: str = Field(max_length=253, description="Name of the pod.")
    uid: str = Field(max_length=64, description="UID of the pod.")
    ip: str | None = Field(default=None, max_length=64, description="Address of the pod.")
    node: str | None = Field(default=None, max_length=253, description="Node the pod runs on.")


class TranscriptReference(Resource):
    repository: str = Field(max_length=255, description="Repository of the registry, with the prefix.")
    digest: str = Field(max_length=71, description="Digest of the artifact's manifest.")
    size: int = Field(ge=0, description="Bytes of the transcript.")
    last_seq: int = Field(ge=0, description="Number of its last chunk.")
    archived_at: Timestamp = Field(description="When it was stored.")


class CodeSessionStatus(Resource):
    phase: Phase | None = Field(default=None, description="Creating, Running, Suspended, Completed or Failed.")
    observed_generation: int | None = Field(default=None, description="The generation this status is about.")
    workspace_id: str | None = Field(default=None, max_length=64, description="Id of the workspace in the REST API.")
    pty_endpoint: str | None = Field(default=None, max_length=1024, description="URL of the terminal.")
    pod: PodReference | None = Field(default=None, description="The pod that runs the workspace now.")
    restarts: int | None = Field(default=None, description="How often a lost pod was replaced.")
    last_restart_times: list[Timestamp] | None = Field(
        default=None, max_length=16, description="When lost pods were replaced, newest last."
    )
    started_at: Timestamp | None = Field(default=None, description="When the shell first ran.")
    finished_at: Timestamp | None = Field(default=None, description="When the session was completed or failed.")
    updated_at: Timestamp | None = Field(default=None, description="When this status changed last.")
    exit_code: int | None = Field(default=None, description="Exit code of the shell, if it ended by itself.")
    transcript: TranscriptReference | None = Field(
        default=None, description="The terminal's output, kept in the registry when the session has ended."
    )
    conditions: list[Condition] | None = Field(
        default=None,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="Observations; Ready is always there and its message says what to do.",
    )


class CodeSession(Resource):
    """A CodeSession is an interactive shell in a pod, with a terminal whose output is numbered and kept."""

    spec: CodeSessionSpec = Field(description="What is wanted.")
    status: CodeSessionStatus | None = Field(default=None, description="What was observed by the operator.")


RULES: list[dict[str, str]] = [
    {"rule": "self.projectName == oldSelf.projectName", "message": "projectName is immutable: create a new session"},
    {"rule": "self.userId == oldSelf.userId", "message": "userId is immutable: create a new session"},
    {
        "rule": "has(self.workspace) == has(oldSelf.workspace)"
        " && (!has(self.workspace) || self.workspace == oldSelf.workspace)",
        "message": "workspace is immutable: create a new session",
    },
    {
        "rule": "oldSelf.state != 'Completed' || self.state == 'Completed'",
        "message": "state Completed is final: create a new session",
    },
]

COLUMNS: list[dict[str, Any]] = [
    {"name": "Project", "type": "string", "jsonPath": ".spec.projectName"},
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"},
    {"name": "Exit", "type": "integer", "jsonPath": ".status.exitCode"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "User", "type": "string", "jsonPath": ".spec.userId", "priority": 1},
    {"name": "Pod", "type": "string", "jsonPath": ".status.pod.name", "priority": 1},
    {"name": "Node", "type": "string", "jsonPath": ".status.pod.node", "priority": 1},
    {"name": "Restarts", "type": "integer", "jsonPath": ".status.restarts", "priority": 1},
    {
        "name": "Transcript",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Archived')].reason",
        "priority": 1,
    },
    {
        "name": "Message",
        "type": "string",
        "jsonPath": ".status.conditions[?(@.type=='Ready')].message",
        "priority": 1,
    },
]
