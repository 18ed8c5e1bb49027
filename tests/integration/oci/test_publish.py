"""Images sent to a registry with their bills of materials, as `make publish` does it, seen without our client."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from codesessions_dev import publish
from codesessions_dev.licences import Part
from codesessions_dev.local.oci import write_archive
from codesessions_oci.registry import Registry
from support.registry import RealRegistry

CYCLONEDX = "application/vnd.cyclonedx+json"
PARTS = [Part("deb", "libc6", "2.36-9", "LGPL-2.1-or-later"), Part("pypi", "websockets", "17.4", "BSD-3-Clause")]


def layout(folder: Path, text: bytes) -> Path:
    """An image of one file."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tarfile.TarInfo("hello")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    folder.mkdir()
    write_archive(folder / "image.tar", "localhost/x:1", layer.getvalue(), ["/hello"])
    with tarfile.open(folder / "image.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


def answer(real: RealRegistry, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(real.host, timeout=30)
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    try:
        connection.request("GET", f"/v2/some/prefix/{path}", headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def fetch(real: RealRegistry, path: str) -> bytes:
    status, found = answer(real, path)
    assert status == 200, found
    return found


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def referrers(real: RealRegistry, name: str, digest: str) -> list[dict[str, Any]]:
    """As a client lists them: by the API, and where a registry has none by the tag (OCI Distribution)."""
    status, found = answer(real, f"{name}/referrers/{digest}")
    if status == 404:
        found = fetch(real, f"{name}/manifests/{digest.replace(':', '-')}")
    manifests: list[dict[str, Any]] = json.loads(found)["manifests"]
    return manifests


async def test_the_bill_of_materials_is_found_from_the_image(
    real: RealRegistry, registry: Registry, tmp_path: Path
) -> None:
    digest = await publish.send(registry, "sidecar", "1.2", layout(tmp_path / "x", b"one"), PARTS)

    body = fetch(real, "sidecar/manifests/1.2")
    assert digest_of(body) == digest
    image = json.loads(body)
    for each in (image["config"], *image["layers"]):
        assert digest_of(fetch(real, f"sidecar/blobs/{each['digest']}")) == each["digest"]

    [listed] = referrers(real, "sidecar", digest)
    assert listed["artifactType"] == CYCLONEDX
    artifact = json.loads(fetch(real, f"sidecar/manifests/{listed['digest']}"))
    assert artifact["artifactType"] == CYCLONEDX
    assert artifact["subject"] == {"mediaType": image["mediaType"], "digest": digest, "size": len(body)}
    [layer] = artifact["layers"]
    assert layer["mediaType"] == CYCLONEDX

    bill = json.loads(fetch(real, f"sidecar/blobs/{layer['digest']}"))
    assert bill["bomFormat"] == "CycloneDX"
    component = bill["metadata"]["component"]
    assert component["hashes"] == [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    assert f"{real.host}/some/prefix/sidecar" in component["purl"].replace("%2F", "/").replace("%3A", ":")
    assert [each["name"] for each in bill["components"]] == ["libc6", "websockets"]


async def test_another_image_under_the_same_tag_has_its_own(
    real: RealRegistry, registry: Registry, tmp_path: Path
) -> None:
    first = await publish.send(registry, "platform", "1.2", layout(tmp_path / "x", b"one"), PARTS)
    second = await publish.send(registry, "platform", "1.2", layout(tmp_path / "y", b"two"), PARTS[:1])
    assert first != second
    for digest, names in ((first, ["libc6", "websockets"]), (second, ["libc6"])):
        [listed] = referrers(real, "platform", digest)
        [layer] = json.loads(fetch(real, f"platform/manifests/{listed['digest']}"))["layers"]
        bill = json.loads(fetch(real, f"platform/blobs/{layer['digest']}"))
        assert [each["name"] for each in bill["components"]] == names
        assert bill["metadata"]["component"]["hashes"][0]["content"] == digest.removeprefix("sha256:")


async def test_what_is_not_one_image_is_not_sent(registry: Registry, tmp_path: Path) -> None:
    folder = layout(tmp_path / "x", b"one")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
    with pytest.raises(ValueError, match="0 images"):
        await publish.send(registry, "odd", "1", folder, PARTS)
    assert await registry.tags(registry.settings.repository("odd")) == []
