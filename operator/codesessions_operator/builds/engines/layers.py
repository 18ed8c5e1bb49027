"""The engine `layers`: a pod that passes Pod Security *restricted*, with two containers that share two folders.

`build` (the platform's image) fetches, decides and pushes, and holds the registry's credentials. `assemble` (the
runtime image, so that what is installed fits it) runs the project's own steps and holds no secret. Both start at
once; a site without steps never waits for the second.
"""

from __future__ import annotations

from typing import Any

from codesessions_builder.order import APP_DIR, VARIABLE, Order
from codesessions_builder.runner import CA_VARIABLES, WAIT
from yarl import URL

from codesessions_operator.builds.engine import BuildRequest, BuildSettings

Object = dict[str, Any]
USER = 1000
EXCHANGE, SCRATCH, CACHE = "/exchange", "/scratch", "/cache"
CREDENTIALS, BUNDLE = "/etc/codesessions/registry", "/etc/codesessions/ca"
CA_FILE = f"{BUNDLE}/ca.crt"
STEPS, BUILD = "assemble", "build"
"""Names of the containers. The kubelet reports them in the order of their names: `build` must be the last."""
RUNTIME = "runtime"
_CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


class Layers:
    """See the module."""

    name = "layers"
    refused = ""

    def pod_spec(self, request: BuildRequest, settings: BuildSettings) -> Object:
        """The pod's spec. Raises ValueError if the platform names no runtime image."""
        return {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_steps(settings), _build(request, settings)],
            "volumes": _volumes(request, settings),
        }


def runtime_image(settings: BuildSettings) -> str:
    """The runtime image as nodes pull it. Raises ValueError."""
    found = dict(settings.runtime_images)
    image = found.get(RUNTIME) or next(iter(found.values()), "")
    if not image:
        raise ValueError("no runtime image is set (chart: build.runtimeImage)")
    return image


def base_of(image: str, settings: BuildSettings) -> tuple[str, str]:
    """The runtime image for the builder: its registry's URL (empty: the one of everything), and its name there."""
    url = URL(settings.registry_url)
    prefixes = [settings.pull_prefix, f"{url.host_port_subcomponent}/{url.path.strip('/')}".rstrip("/")]
    for prefix in filter(None, prefixes):
        if image.startswith(prefix + "/"):
            return "", "/".join(filter(None, (url.path.strip("/"), image.removeprefix(prefix + "/"))))
    host, slash, name = image.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, name = "registry-1.docker.io", image if slash else f"library/{image}"
    elif host in {"docker.io", "index.docker.io"}:
        host = "registry-1.docker.io"
    if host == url.host_port_subcomponent:
        return "", name
    return f"https://{host}", name


def _steps(settings: BuildSettings) -> Object:
    env = dict(settings.env)
    if settings.ca_bundle_config_map:
        env = dict.fromkeys(CA_VARIABLES, CA_FILE) | env
    mounts: list[Object] = [
        {"name": "app", "mountPath": APP_DIR},
        {"name": "exchange", "mountPath": EXCHANGE},
        {"name": "cache", "mountPath": CACHE},
        {"name": "steps-tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    if settings.ca_bundle_config_map:
        mounts.append({"name": "ca", "mountPath": BUNDLE, "readOnly": True})
    return {
        "name": STEPS,
        "image": runtime_image(settings),
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["/bin/sh", "-c", WAIT],
        "workingDir": EXCHANGE,
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "securityContext": _CONFINED,
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"cpu": settings.cpu_limit, "memory": settings.memory_limit},
        },
        "volumeMounts": mounts,
    }


def _build(request: BuildRequest, settings: BuildSettings) -> Object:
    registry, base = base_of(runtime_image(settings), settings)
    order = Order(
        source_repository=request.source_repository,
        source_digest=request.source_digest,
        base=base,
        base_registry=registry,
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
        scratch_dir=SCRATCH,
        cache_dir=CACHE,
    )
    env = {VARIABLE: order.render(), "CODESESSIONS_REGISTRY_URL": settings.registry_url, "TMPDIR": SCRATCH}
    mounts: list[Object] = [
        {"name": "app", "mountPath": APP_DIR},
        {"name": "exchange", "mountPath": EXCHANGE},
        {"name": "cache", "mountPath": CACHE},
        {"name": "scratch", "mountPath": SCRATCH},
    ]
    if request.credentials_secret:
        env["CODESESSIONS_REGISTRY_AUTH_FILE"] = f"{CREDENTIALS}/config.json"
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True})
    if settings.ca_bundle_config_map:
        env["CODESESSIONS_REGISTRY_CA_FILE"] = CA_FILE
        mounts.append({"name": "ca", "mountPath": BUNDLE, "readOnly": True})
    return {
        "name": BUILD,
        "image": settings.builder_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python3", "-m", "codesessions_builder"],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "securityContext": _CONFINED,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "volumeMounts": mounts,
    }


def _volumes(request: BuildRequest, settings: BuildSettings) -> list[Object]:
    volumes: list[Object] = [
        {"name": name, "emptyDir": {"sizeLimit": settings.storage_limit}}
        for name in ("app", "scratch", "cache", "steps-tmp")
    ]
    volumes.append({"name": "exchange", "emptyDir": {"sizeLimit": "16Mi"}})
    if request.credentials_secret:
        volumes.append(
            {"name": "credentials", "secret": {"secretName": request.credentials_secret, "defaultMode": 0o440}}
        )
    if settings.ca_bundle_config_map:
        volumes.append({"name": "ca", "configMap": {"name": settings.ca_bundle_config_map, "optional": True}})
    return volumes
