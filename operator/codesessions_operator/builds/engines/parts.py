"""What the pods of the engines have in common: the order, the platform's container, the user's steps, the volumes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from codesessions_builder.order import VARIABLE, Order
from codesessions_builder.runner import CA_VARIABLES

from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.literal import literal_env

Object = dict[str, Any]
USER = 1000
EXCHANGE = "/exchange"
CREDENTIALS, BUNDLE = "/etc/codesessions/registry", "/etc/codesessions/ca"
CA_FILE = f"{BUNDLE}/ca.crt"
BUILD = "build"
"""Name of the container whose termination log is the result."""
CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_CA_MOUNT = {"name": "ca", "mountPath": BUNDLE, "readOnly": True}


def order_of(
    request: BuildRequest, *, scratch_dir: str, base: str = "", base_registry: str = "", cache_dir: str = ""
) -> Order:
    """What the builder program is asked for."""
    return Order(
        source_repository=request.source_repository,
        source_digest=request.source_digest,
        base=base,
        base_registry=base_registry,
        image_repository=request.image_repository,
        engine=request.engine,
        namespace=request.namespace,
        build=request.build,
        app=request.app,
        session_id=request.session_id,
        user_id=request.user_id,
        organization_id=request.organization_id,
        requested_at=request.requested_at,
        exchange_dir=EXCHANGE,
        scratch_dir=scratch_dir,
        cache_dir=cache_dir,
    )


def platform_container(
    name: str,
    command: list[str],
    order: Order,
    request: BuildRequest,
    settings: BuildSettings,
    *,
    env: dict[str, str],
    mounts: list[Object],
    security: Object,
) -> Object:
    """A container of the platform's image, which runs none of the user's code and holds the registry's credentials."""
    env = {VARIABLE: order.render(), "CODESESSIONS_REGISTRY_URL": settings.registry_url, **env}
    mounts = list(mounts)
    if request.credentials_secret:
        env["CODESESSIONS_REGISTRY_AUTH_FILE"] = f"{CREDENTIALS}/config.json"
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True})
    if settings.ca_bundle_config_map:
        env["CODESESSIONS_REGISTRY_CA_FILE"] = CA_FILE
        mounts.append(_CA_MOUNT)
    return {
        "name": name,
        "image": settings.builder_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "env": literal_env(env),
        "securityContext": security,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "volumeMounts": mounts,
    }


def steps_container(
    name: str,
    image: str,
    command: list[str],
    folder: str,
    settings: BuildSettings,
    *,
    env: dict[str, str],
    mounts: list[Object],
    security: Object,
) -> Object:
    """A container that runs the user's code, in `folder`, and holds no secret."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "workingDir": folder,
        "env": literal_env(env),
        "securityContext": security,
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"cpu": settings.cpu_limit, "memory": settings.memory_limit},
        },
        "volumeMounts": [*mounts, *([_CA_MOUNT] if settings.ca_bundle_config_map else [])],
    }


def steps_env(settings: BuildSettings) -> dict[str, str]:
    """What the platform sets for the user's code: proxies, package indexes, its certificate authority."""
    env = dict(settings.env)
    return dict.fromkeys(CA_VARIABLES, CA_FILE) | env if settings.ca_bundle_config_map else env


def volumes(large: Iterable[str], small: Iterable[str], request: BuildRequest, settings: BuildSettings) -> list[Object]:
    """Scratch space of these names, and what containers of the platform mount besides."""
    found: list[Object] = [
        {"name": name, "emptyDir": {"sizeLimit": limit}}
        for names, limit in ((large, settings.storage_limit), (small, "16Mi"))
        for name in names
    ]
    if request.credentials_secret:
        found.append(
            {"name": "credentials", "secret": {"secretName": request.credentials_secret, "defaultMode": 0o440}}
        )
    if settings.ca_bundle_config_map:
        found.append({"name": "ca", "configMap": {"name": settings.ca_bundle_config_map, "optional": True}})
    return found
