"""The engine `layers`: a pod that passes Pod Security *restricted*, with two containers that share two folders.

`build` (the platform's image) fetches, decides and pushes, and holds the registry's credentials. `assemble` (the
runtime image, so that what is installed fits it) runs the project's own steps and holds no secret. Both start at
once; a site without steps never waits for the second.
"""

from __future__ import annotations

from typing import Any

from codesessions_builder.order import APP_DIR
from codesessions_builder.runner import WAIT
from yarl import URL

from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines.parts import (
    BUILD,
    CONFINED,
    EXCHANGE,
    USER,
    order_of,
    platform_container,
    steps_container,
    steps_env,
    volumes,
)

Object = dict[str, Any]
SCRATCH, CACHE = "/scratch", "/cache"
STEPS = "assemble"
"""Its name: the kubelet reports containers in the order of their names, and `build` must be the last."""
RUNTIME = "runtime"


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
            "volumes": volumes(("app", "scratch", "cache", "steps-tmp"), ("exchange",), request, settings),
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
    mounts: list[Object] = [
        {"name": "app", "mountPath": APP_DIR},
        {"name": "exchange", "mountPath": EXCHANGE},
        {"name": "cache", "mountPath": CACHE},
        {"name": "steps-tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    command = ["/bin/sh", "-c", WAIT]
    image, env = runtime_image(settings), steps_env(settings)
    return steps_container(STEPS, image, command, EXCHANGE, settings, env=env, mounts=mounts, security=CONFINED)


def _build(request: BuildRequest, settings: BuildSettings) -> Object:
    registry, base = base_of(runtime_image(settings), settings)
    order = order_of(request, base=base, scratch_dir=SCRATCH, base_registry=registry, cache_dir=CACHE)
    mounts: list[Object] = [
        {"name": "app", "mountPath": APP_DIR},
        {"name": "exchange", "mountPath": EXCHANGE},
        {"name": "cache", "mountPath": CACHE},
        {"name": "scratch", "mountPath": SCRATCH},
    ]
    command, env = ["python3", "-m", "codesessions_builder"], {"TMPDIR": SCRATCH}
    return platform_container(BUILD, command, order, request, settings, env=env, mounts=mounts, security=CONFINED)
