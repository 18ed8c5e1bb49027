"""The workspace pod: the PTY sidecar as a native sidecar (KEP-753), and the workspace container.

It passes Pod Security *restricted* (Kubernetes: Pod Security Standards).
"""

from __future__ import annotations

from typing import Any

from codesessions_crds.codesession import Workspace
from codesessions_crds.names import PTY_PORT, session_id, workspace_id

from codesessions_operator.desired.common import Session, metadata
from codesessions_operator.literal import literal, literal_env
from codesessions_operator.settings import Settings, names_of

RUN_DIR = "/run/codesession"
DATA_DIR = "/var/lib/codesession"
KEY_DIR = "/etc/codesession"
WORK_DIR = "/workspace"
LAUNCHER = "/usr/local/bin/codesessions-launcher"
DEFAULT_USER = 1000
MOST_OWN_USERS = 65536
"""User ids in a pod's user namespace, from 0 on (KEP-127)."""
GRACE_SECONDS = 10
LINGER_SECONDS = 60
"""How long the sidecar waits, where there is a registry, for somebody to take the transcript of a shell that ended."""
SIDECAR, WORKSPACE = "pty", "workspace"
DISK = "ephemeral-storage"
"""What a container writes outside its volumes, and its log (Kubernetes: local ephemeral storage)."""

_CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod(session: Session, settings: Settings) -> dict[str, Any]:
    """The pod that runs a session."""
    workspace = session.spec.workspace or Workspace()
    user = workspace.run_as_user or DEFAULT_USER
    pull_secrets = [{"name": name} for name in names_of(settings.image_pull_secrets)]
    pull_secrets += [secret.to_dict() for secret in workspace.image_pull_secrets or ()]
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": LINGER_SECONDS + GRACE_SECONDS if settings.registry_url else GRACE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_sidecar(session, workspace, settings)],
        "containers": [_workspace(session, workspace, settings)],
        "volumes": _volumes(session, workspace, settings),
    }
    optional = {
        "runtimeClassName": workspace.runtime_class_name or settings.runtime_class,
        "nodeSelector": workspace.node_selector,
        "tolerations": [toleration.to_dict() for toleration in workspace.tolerations or ()],
        "imagePullSecrets": pull_secrets,
    }
    spec.update({name: value for name, value in optional.items() if value})
    if has_own_users(workspace, settings):
        spec["hostUsers"] = False  # user ids of its own: who gets out of the container is nobody on the node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(session), "spec": spec}


def has_own_users(workspace: Workspace, settings: Settings) -> bool:
    """Whether the pod gets a user namespace: if the platform or the session says so."""
    return settings.host_users == "false" or workspace.host_users is False


def _volumes(session: Session, workspace: Workspace, settings: Settings) -> list[dict[str, Any]]:
    size = ephemeral_size(workspace, settings)
    data: dict[str, Any] = {"persistentVolumeClaim": {"claimName": session.child}}
    if size is not None:
        data = {"emptyDir": {"sizeLimit": size}}
    return [
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
        {"name": "data", **data},
        {"name": "key", "secret": {"secretName": session.child, "defaultMode": 0o440}},
    ]


def ephemeral_size(workspace: Workspace, settings: Settings) -> str | int | None:
    """The size of a workspace's ephemeral volume; None for a claim."""
    storage = workspace.storage
    if storage is None or not storage.ephemeral:
        return None
    return storage.size if storage.size is not None else settings.storage_size


def _sidecar(session: Session, workspace: Workspace, settings: Settings) -> dict[str, Any]:
    health = {"httpGet": {"path": "/healthz", "port": SIDECAR}}
    env = {"CODESESSIONS_SESSION_ID": session_id(session.name), "CODESESSIONS_SESSION_UID": session.uid}
    if settings.registry_url:
        env["CODESESSIONS_LINGER_SECONDS"] = str(LINGER_SECONDS)
    requests: dict[str, str | int] = {"cpu": "5m", "memory": "32Mi"}
    limits: dict[str, str | int] = {"cpu": "1", "memory": "128Mi"}
    size = ephemeral_size(workspace, settings)
    if size is not None:  # a pod's limit is the sum of its containers', and its ephemeral volumes count
        requests[DISK], limits[DISK] = 0, size
    return {
        "name": SIDECAR,
        "image": settings.sidecar_image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "ports": [{"name": SIDECAR, "containerPort": PTY_PORT}],
        "env": literal_env(env),
        # The workspace container starts when this returns: the launcher is there and the sidecar listens.
        "lifecycle": {"postStart": {"exec": {"command": [LAUNCHER, "--install", RUN_DIR]}}},
        "readinessProbe": {**health, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {**health, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "securityContext": {**_CONFINED, "readOnlyRootFilesystem": True},
        "resources": {"requests": requests, "limits": limits},
        "volumeMounts": [
            {"name": "run", "mountPath": RUN_DIR},
            {"name": "data", "mountPath": DATA_DIR, "subPath": "terminal"},
            {"name": "data", "mountPath": WORK_DIR, "subPath": "workspace", "readOnly": True},
            {"name": "key", "mountPath": KEY_DIR, "readOnly": True},
        ],
    }


def _workspace(session: Session, workspace: Workspace, settings: Settings) -> dict[str, Any]:
    requests: dict[str, str | int] = {
        "cpu": settings.workspace_cpu_request,
        "memory": settings.workspace_memory_request,
        DISK: 0,  # a limit, not a claim: nodes are not fuller for it
    }
    limits: dict[str, str | int] = {
        "cpu": settings.workspace_cpu_limit,
        "memory": settings.workspace_memory_limit,
        DISK: settings.workspace_disk_limit,
    }
    if workspace.resources is not None:
        if workspace.resources.limits:
            limits |= workspace.resources.limits
            requests = {name: value for name, value in requests.items() if name not in workspace.resources.limits}
        requests |= workspace.resources.requests or {}
    env = {
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "HOME": WORK_DIR,
        **{each.name: each.value for each in workspace.env or ()},
        "CODESESSIONS_SESSION_ID": session_id(session.name),
        "CODESESSIONS_WORKSPACE_ID": workspace_id(session.name),
    }
    container = {
        "name": WORKSPACE,
        "image": workspace.image or settings.workspace_image,
        "imagePullPolicy": workspace.image_pull_policy or settings.image_pull_policy,
        "command": [f"{RUN_DIR}/launcher", "--", *(literal(word) for word in workspace.shell or ())],
        "workingDir": WORK_DIR,
        "env": literal_env(env),
        "securityContext": _CONFINED,
        "resources": {"requests": requests, "limits": limits},
        "volumeMounts": [
            {"name": "run", "mountPath": RUN_DIR, "readOnly": True},
            {"name": "data", "mountPath": WORK_DIR, "subPath": "workspace"},
        ],
    }
    if workspace.env_from:
        container["envFrom"] = [source.to_dict() for source in workspace.env_from]
    return container
