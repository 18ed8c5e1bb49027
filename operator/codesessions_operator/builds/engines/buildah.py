"""The engine `buildah`: builds a Dockerfile in a pod with a user namespace, for namespaces that allow it.

Three containers, one after another: `a-fetch` (the platform's image) unpacks the source; `b-bud` (buildah's image) is
root of the pod's user namespace, with the default capabilities and no way to more, runs the user's code and holds no
secret; `build` (the platform's image) sends what it left. Pod Security *restricted* forbids such a pod, *baseline* does
not (KEP-127, user namespaces).
"""

from __future__ import annotations

from typing import Any

from codesessions_builder.dockerfile import LANGUAGE
from codesessions_builder.order import APP_DIR, VARIABLE, Order
from codesessions_builder.runner import CA_VARIABLES
from yarl import URL

from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines.layers import BUILD, BUNDLE, CA_FILE, CREDENTIALS, EXCHANGE, USER

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
_CONFINED = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
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
            "volumes": _volumes(request, settings),
        }


def registries(settings: BuildSettings) -> str:
    """containers-registries.conf(5): short names are Docker Hub's, and our registry may be without TLS."""
    url = URL(settings.registry_url)
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "disabled"']
    if url.scheme == "http":
        lines += ["[[registry]]", f'location = "{url.host_port_subcomponent}"', "insecure = true"]
    return "\n".join(lines) + "\n"


def _bud(request: BuildRequest, settings: BuildSettings) -> Object:
    env = dict(settings.env)
    if settings.ca_bundle_config_map:
        env = dict.fromkeys(CA_VARIABLES, CA_FILE) | env
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
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "blobs", "mountPath": "/var/tmp"},  # noqa: S108
    ]
    if settings.ca_bundle_config_map:
        mounts.append({"name": "ca", "mountPath": BUNDLE, "readOnly": True})
    return {
        "name": BUD,
        "image": settings.buildah_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["/bin/sh", "-c", SCRIPT, "bud", *words],
        "workingDir": "/tmp",  # noqa: S108
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "securityContext": security,
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"cpu": settings.cpu_limit, "memory": settings.memory_limit},
        },
        "volumeMounts": mounts,
    }


def _ours(name: str, task: str, request: BuildRequest, settings: BuildSettings) -> Object:
    before = name == FETCH
    order = Order(
        source_repository=request.source_repository,
        source_digest=request.source_digest,
        base="",
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
        scratch_dir="/tmp" if before else OUT,  # noqa: S108
    )
    env = {VARIABLE: order.render(), "CODESESSIONS_REGISTRY_URL": settings.registry_url}
    mounts: list[Object] = [{"name": "exchange", "mountPath": EXCHANGE, "readOnly": not before}]
    if before:
        mounts += [{"name": "app", "mountPath": APP_DIR}, {"name": "source", "mountPath": "/tmp"}]  # noqa: S108
    else:
        mounts.append({"name": "out", "mountPath": OUT, "readOnly": True})
    if request.credentials_secret:
        env["CODESESSIONS_REGISTRY_AUTH_FILE"] = f"{CREDENTIALS}/config.json"
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True})
    if settings.ca_bundle_config_map:
        env["CODESESSIONS_REGISTRY_CA_FILE"] = CA_FILE
        mounts.append({"name": "ca", "mountPath": BUNDLE, "readOnly": True})
    return {
        "name": name,
        "image": settings.builder_image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["python3", "-m", "codesessions_builder.dockerfile", task],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "securityContext": _CONFINED,
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}},
        "volumeMounts": mounts,
    }


def _volumes(request: BuildRequest, settings: BuildSettings) -> list[Object]:
    volumes: list[Object] = [
        {"name": name, "emptyDir": {"sizeLimit": settings.storage_limit}}
        for name in ("app", "source", "out", "store", "tmp", "blobs")
    ]
    volumes += [{"name": name, "emptyDir": {"sizeLimit": "16Mi"}} for name in ("exchange", "run")]
    if request.credentials_secret:
        volumes.append(
            {"name": "credentials", "secret": {"secretName": request.credentials_secret, "defaultMode": 0o440}}
        )
    if settings.ca_bundle_config_map:
        volumes.append({"name": "ca", "configMap": {"name": settings.ca_bundle_config_map, "optional": True}})
    return volumes
