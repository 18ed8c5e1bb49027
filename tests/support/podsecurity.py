"""Pod Security Standards, level *restricted*: what of a pod spec breaks it (Kubernetes: Pod Security Standards)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
}
PROFILES = {"RuntimeDefault", "Localhost"}

Object = dict[str, Any]


def confined(name: str, **container: Any) -> Object:
    """A pod that breaks none of it, to ask the API server whether it would take one."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    security["seccompProfile"] = {"type": "RuntimeDefault"}
    containers = [{"name": "x", "image": "x", "securityContext": security, **container}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}


def violations(spec: Object) -> list[str]:
    """Every violation, in words."""
    return [*_pod(spec), *(found for container in containers(spec) for found in _container(container, spec))]


def containers(spec: Object) -> list[Object]:
    """Containers of every kind."""
    return [
        container
        for field in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(field) or []
    ]


def _pod(spec: Object) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set"
    for volume in spec.get("volumes") or []:
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    if (spec.get("securityContext") or {}).get("sysctls"):
        yield "sysctls are set"
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "runs as root"


def _container(container: Object, spec: Object) -> Iterator[str]:
    name = container["name"]
    own = container.get("securityContext") or {}
    both = {**(spec.get("securityContext") or {}), **own}
    if both.get("runAsNonRoot") is not True:
        yield f"{name} may run as root"
    if own.get("runAsUser") == 0:
        yield f"{name} runs as root"
    if (both.get("seccompProfile") or {}).get("type") not in PROFILES:
        yield f"{name} has no seccomp profile"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate"
    if own.get("privileged"):
        yield f"{name} is privileged"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield f"{name} keeps capabilities"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"{name} adds capabilities"
    if any("hostPort" in port for port in container.get("ports") or []):
        yield f"{name} has a host port"
