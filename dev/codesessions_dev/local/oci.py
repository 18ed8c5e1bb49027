"""Write an OCI image archive from layers (OCI Image Layout and Image Specification 1.1)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}",
        "size": len(blob),
    }


def write_archive(target: Path, reference: str, layer_tar: bytes, entrypoint: Sequence[str] = ()) -> None:
    """Write a one-layer image for linux/amd64 called `reference` to `target`, a tar file."""
    layer = gzip.compress(layer_tar, 1, mtime=0)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint) or None, "Env": [PATH]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer_tar).hexdigest()}"]},
    }
    config_blob = json.dumps(config).encode()
    vendor = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{vendor}.manifest.v1+json",
        "config": _descriptor(f"{vendor}.config.v1+json", config_blob),
        "layers": [_descriptor(f"{vendor}.layer.v1.tar+gzip", layer)],
    }
    manifest_blob = json.dumps(manifest).encode()
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    entry = {**_descriptor(f"{vendor}.manifest.v1+json", manifest_blob), "annotations": names}
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
    }
    for blob in (manifest_blob, config_blob, layer):
        files[f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"] = blob
    with tarfile.open(target, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
