"""The image's config and manifest (OCI Image Specification 1.1). Pure: the same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codesessions_oci.descriptors import MANIFEST, Descriptor, render

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
USER = "1000:1000"


@dataclass(frozen=True)
class Start:
    """How an application is started."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"


def labels(base: Mapping[str, str], base_name: str, base_digest: str, more: Mapping[str, str]) -> dict[str, str]:
    """The image's labels: ours, and of the base's none that speak of the base itself."""
    kept = {name: value for name, value in base.items() if not name.startswith("org.opencontainers.image.")}
    ours = {
        "org.opencontainers.image.base.digest": base_digest,
        "org.opencontainers.image.base.name": base_name,
        **{f"codesessions.dev/{name}": value for name, value in more.items()},
    }
    return kept | {name: value for name, value in ours.items() if value}


def config(
    base: Mapping[str, Any], diff_ids: Sequence[str], start: Start, port: int, workdir: str, marks: Mapping[str, str]
) -> dict[str, Any]:
    """The config of the base with our layers on top. Its time is the base's: the same files give the same image."""
    settings: dict[str, Any] = dict(base.get("config") or {})
    env = dict(each.partition("=")[::2] for each in settings.get("Env") or ())
    env |= {"PORT": str(port), **start.env}
    settings.pop("Entrypoint", None)
    settings |= {
        "User": USER,
        "WorkingDir": workdir,
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Cmd": list(start.argv),
        "ExposedPorts": {f"{port}/tcp": {}},
        "StopSignal": start.stop_signal,
        "Labels": dict(marks),
    }
    time = base.get("created") or "1970-01-01T00:00:00Z"
    history = [*(base.get("history") or ()), *({"created": time, "created_by": "codesessions build"} for _ in diff_ids)]
    rootfs = base.get("rootfs") or {}
    return {
        "architecture": base.get("architecture") or "amd64",
        "os": base.get("os") or "linux",
        **({"variant": base["variant"]} if base.get("variant") else {}),
        "created": time,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [*(rootfs.get("diff_ids") or ()), *diff_ids]},
        "history": history,
    }


def manifest(config_at: Descriptor, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> bytes:
    """The manifest's bytes."""
    return render(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config_at.document(),
            "layers": [
                Descriptor(each.digest, each.size, _LAYERS.get(each.media_type, each.media_type)).document()
                for each in layers
            ],
            "annotations": dict(annotations),
        }
    )
