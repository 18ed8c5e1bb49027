"""Image layouts of all kinds, sent to a real registry."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from codesessions_builder import layout
from codesessions_builder.errors import BuildError
from codesessions_oci.descriptors import MANIFEST, Descriptor, digest_of, render
from codesessions_oci.registry import Registry
from support.building import Site

REPOSITORY = "p/demo/layouts"
LAYER = b"a layer" * 100_000


class Made:
    """A layout as buildah leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        layer, config = self.blob(LAYER), self.blob(b"{}")
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.document(),
            "layers": [layer.document()],
            "annotations": {layout.BASE_NAME: "base:1", layout.BASE_DIGEST: "sha256:" + "1" * 64},
        }
        self.layer = layer
        self.manifest = self.blob(render(document), MANIFEST)
        self.index([self.manifest.document()])
        self.descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def path(self, blob: Descriptor) -> Path:
        return self.folder / "blobs" / "sha256" / blob.digest.removeprefix("sha256:")

    def blob(self, data: bytes, media_type: str = "x/y") -> Descriptor:
        found = Descriptor(digest_of(data), len(data), media_type)
        self.path(found).write_bytes(data)
        return found

    def index(self, manifests: list[dict[str, Any]]) -> None:
        (self.folder / "index.json").write_text(json.dumps({"manifests": manifests}))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    found = Made(tmp_path / "layout")
    yield found
    os.close(found.descriptor)


async def test_an_image_is_sent_with_its_layers_and_what_it_says_of_its_base(site: Site, made: Made) -> None:
    async with Registry(site.real.settings()) as registry:
        pushed = await layout.push(registry, REPOSITORY, made.descriptor, "bld-1")
        assert pushed.image.digest == made.manifest.digest
        assert (pushed.base_name, pushed.base_digest) == ("base:1", "sha256:" + "1" * 64)
        assert (await registry.get_manifest(REPOSITORY, "bld-1")).digest == made.manifest.digest
        assert await registry.has_blob(REPOSITORY, made.layer.digest) is not None


async def test_a_layer_that_is_a_link_is_not_followed(site: Site, made: Made, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    made.path(made.layer).rename(secret)
    made.path(made.layer).symlink_to(secret)
    async with Registry(site.real.settings()) as registry:
        with pytest.raises(OSError, match="symbolic links"):
            await layout.push(registry, "p/demo/links", made.descriptor, "bld-1")


async def test_a_layer_that_is_not_what_its_digest_says_is_refused(site: Site, made: Made) -> None:
    made.path(made.layer).write_bytes(b"other")
    async with Registry(site.real.settings()) as registry:
        with pytest.raises(BuildError, match="digest"):
            await layout.push(registry, "p/demo/damaged", made.descriptor, "bld-1")


@pytest.mark.parametrize("manifests", [[], ["x"], [{"digest": "sha256:1", "size": 1, "mediaType": MANIFEST}]])
async def test_what_is_no_image_is_refused(site: Site, made: Made, manifests: list[Any]) -> None:
    made.index(manifests)
    async with Registry(site.real.settings()) as registry:
        with pytest.raises(BuildError, match="no image"):
            await layout.push(registry, REPOSITORY, made.descriptor, "bld-1")
