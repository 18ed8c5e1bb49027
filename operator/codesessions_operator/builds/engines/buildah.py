"""The engine `buildah`: builds a Dockerfile in a pod with a user namespace, for namespaces that allow it.

Three containers, one after another: `a-fetch` (the platform's image) unpacks the source; `b-bud` (buildah's image) is
root of the pod's user namespace, with the default capabilities and no way to more, runs the user's code and holds no
secret; `build` (the platform's image) sends what it left. Pod Security *restricted* forbids such a pod, *baseline* does
not (KEP-127, user namespaces).
"""

from __future__ import annotations

from typing import Any

from codesessions_builder.dockerfile import LANGUAGE
from codesessions_builder.order import APP_DIR
from codesessions_builder.runner import CA_VARIABLES
from yarl import URL

from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines.parts import (
    BUILD,
    BUNDLE,
    CA_FILE,
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
FETCH, BUD = "a-fetch", "b-bud"
"""Names of the init containers."""
OUT, STORE = "/out", "/var/lib/containers"
TIME = 315532800
"""Of every file and of the image, in seconds: the same source is to make the same image."""
REGISTRIES = "REGISTRIES_CONF"
SCRIPT = f"""set -eu
printf '%s' "${REGISTRIES}" >/run/registries.conf
export CONTAINERS_REGISTRIES_CONF=/run/registries.conf
if [ -f {CA_FILE} ]; then set -- "$@" --volume {BUNDLE}:{BUNDLE}:ro; else unset {" ".join(CA_VARIABLES)}; fi
buildah --root {STORE}/storage --runroot /run/storage bud "$@" --iidfile /run/image {APP_DIR}
buildah --root {STORE}/storage --runroot /run/storage push --quiet "$(cat /run/image)" oci:{OUT}:image
"""
LARGE, SMALL = ("app", "source", "out", "store", "tmp", "blobs"), ("exchange", "run", "names")
_SECURITY = {
    **CONFINED,
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Buildah:
    """See the module."""

    name = "buildah"
    refused = (
        "A Dockerfile is built by root of a user namespace with the default capabilities, which Pod Security restricted"
        " forbids. The platform team allows it with `kubectl label namespace {namespace}"
        " pod-security.kubernetes.io/enforce=baseline --overwrite`. Without a Dockerfile, or with engine: layers, no"
        " such pod is needed."
    )

    def pod_spec(self, request: BuildRequest, settings: BuildSettings) -> Object:
        """The pod's spec."""
        return {
            "hostUsers": False,
            "securityContext": {"fsGroup": USER},
            "initContainers": [_ours(FETCH, "fetch", request, settings), _bud(request, settings)],
            "containers": [_ours(BUILD, "push", request, settings)],
            "volumes": volumes(LARGE, SMALL, request, settings),
        }


def registries(settings: BuildSettings) -> str:
    """containers-registries.conf(5): short names are Docker Hub's, and our registry may be without TLS."""
    url = URL(settings.registry_url)
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "disabled"']
    if url.scheme == "http":
        lines += ["[[registry]]", f'location = "{url.host_port_subcomponent}"', "insecure = true"]
    return "\n".join(lines) + "\n"


def _bud(request: BuildRequest, settings: BuildSettings) -> Object:
    env = steps_env(settings)
    marks = {
        "app": request.app,
        "session": request.session_id,
        "source": request.source_digest,
        "language": LANGUAGE,
        "engine": Buildah.name,
    }
    words = ["--format=oci", f"--timestamp={TIME}"]
    words += [f"--build-arg={name}" for name in env]
    words += [f"--label=codesessions.dev/{name}={value}" for name, value in marks.items() if value]
    env |= {REGISTRIES: registries(settings), "HOME": "/run", "XDG_RUNTIME_DIR": "/run", "TMPDIR": "/var/tmp"}  # noqa: S108
    security: Object = {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
    }
    if settings.buildah_seccomp_profile:
        security["seccompProfile"] = {"type": "Localhost", "localhostProfile": settings.buildah_seccomp_profile}
    mounts: list[Object] = [
        {"name": "app", "mountPath": APP_DIR, "readOnly": True},
        {"name": "out", "mountPath": OUT},
        {"name": "store", "mountPath": STORE},
        {"name": "run", "mountPath": "/run"},
        {"name": "names", "mountPath": "/var/cache/containers"},  # where short names (`FROM python`) are looked up
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "blobs", "mountPath": "/var/tmp"},  # noqa: S108
    ]
    command = ["/bin/sh", "-c", SCRIPT, "bud", *words]
    image, folder = settings.buildah_image, "/tmp"  # noqa: S108
    return steps_container(BUD, image, command, folder, settings, env=env, mounts=mounts, security=security)


def _ours(name: str, task: str, request: BuildRequest, settings: BuildSettings) -> Object:
    before = name == FETCH
    order = order_of(request, scratch_dir="/tmp" if before else OUT)  # noqa: S108
    mounts: list[Object] = [{"name": "exchange", "mountPath": EXCHANGE, "readOnly": not before}]
    if before:
        mounts += [{"name": "app", "mountPath": APP_DIR}, {"name": "source", "mountPath": "/tmp"}]  # noqa: S108
    else:
        mounts.append({"name": "out", "mountPath": OUT, "readOnly": True})
    command = ["python3", "-m", "codesessions_builder.dockerfile", task]
    return platform_container(name, command, order, request, settings, env={}, mounts=mounts, security=_SECURITY)
