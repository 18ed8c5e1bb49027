"""Puts the images into a registry, each with its bill of materials as a referrer (OCI Image 1.1: `subject`).

`python -m codesessions_dev.publish registry.example.com/codesessions` builds them, sends them, and writes the chart's
values for them, by digest, to `build/images.yaml`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import yaml
from codesessions_oci.descriptors import Descriptor
from codesessions_oci.errors import RegistryError
from codesessions_oci.registry import BLOCK, Registry
from codesessions_oci.settings import RegistrySettings, RegistrySettingsError

from codesessions_dev import images, say, sbom
from codesessions_dev.layout import REPO, cache_root
from codesessions_dev.licences import Part
from codesessions_dev.local import doctor

CYCLONEDX = "application/vnd.cyclonedx+json"
VALUES = REPO / "build" / "images.yaml"


async def send(registry: Registry, name: str, tag: str, layout: Path, found: Sequence[Part]) -> str:
    """One image, as a layout in a folder, and its bill of materials; returns the image's digest.

    Raises RegistryError, and ValueError for what is no layout of one image.
    """
    repository = registry.settings.repository(name)
    image = await _image(registry, repository, tag, layout)
    place = f"{registry.settings.host}/{repository}"
    bill = sbom.render(name, tag, found, repository=place, digest=image.digest).encode()
    blob = await registry.push_bytes(repository, bill, CYCLONEDX)
    own = f"sbom-{image.digest.partition(':')[2][:40]}"
    await registry.push_artifact(repository, own, CYCLONEDX, [blob], {}, image)
    return image.digest


async def _image(registry: Registry, repository: str, tag: str, layout: Path) -> Descriptor:
    manifests = json.loads((layout / "index.json").read_bytes())["manifests"]
    if len(manifests) != 1:
        raise ValueError(f"{layout} has {len(manifests)} images, not one")
    image = Descriptor.read(manifests[0])
    body = _blob(layout, image).read_bytes()
    manifest = json.loads(body)
    for blob in map(Descriptor.read, [manifest["config"], *manifest["layers"]]):
        if await registry.has_blob(repository, blob.digest) is None:
            await registry.push_blob(repository, _stream(_blob(layout, blob)))
    await registry.push_manifest(repository, tag, body, image.media_type)
    return image


def _blob(layout: Path, at: Descriptor) -> Path:
    return layout / "blobs" / Path(*at.digest.split(":"))


async def _stream(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            yield data


def values(prefix: str, tag: str, digests: Mapping[str, str]) -> dict[str, object]:
    """The chart's values for images below a prefix, all of them by digest."""
    pinned = {name: f"{prefix}/{name}@{digest}" for name, digest in digests.items()}
    ours = {
        name: {"repository": f"{prefix}/{name}", "tag": tag, "digest": digest}
        for name, digest in digests.items()
        if name not in {images.RUNTIME, images.BUILDAH}
    }
    build: dict[str, object] = {}
    if images.RUNTIME in pinned:
        build["runtimeImage"] = pinned[images.RUNTIME]
    if images.BUILDAH in pinned:
        build["buildah"] = {"image": pinned[images.BUILDAH]}
    return {**({"images": ours} if ours else {}), **({"build": build} if build else {})}


def settings(place: str, auth: Path | None, authority: Path | None) -> RegistrySettings:
    """Of `HOST/PATH`, or of a URL where it is not HTTPS. Raises RegistrySettingsError."""
    variables = {
        "CODESESSIONS_REGISTRY_URL": place if "://" in place else f"https://{place}",
        "CODESESSIONS_REGISTRY_AUTH_FILE": str(auth or ""),
        "CODESESSIONS_REGISTRY_CA_FILE": str(authority or ""),
    }
    found = RegistrySettings.read(variables) if place.strip() else None
    if found is None:
        raise RegistrySettingsError("name a registry, such as registry.example.com/codesessions")
    return found


def login(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where podman, buildah or docker keep who you are to registries (containers-auth.json(5)); None without."""
    home = Path(environment.get("HOME", "/root"))
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    run = environment.get("XDG_RUNTIME_DIR")
    places = [
        *([Path(environment["REGISTRY_AUTH_FILE"])] if environment.get("REGISTRY_AUTH_FILE") else []),
        *([Path(run) / "containers" / "auth.json"] if run else []),
        docker / "config.json",
    ]
    return next((each for each in places if each.is_file()), None)


async def publish(where: RegistrySettings, tag: str, names: Sequence[str]) -> dict[str, str]:
    """Build and send; the digest of each image. Raises DevError, RegistryError."""
    digests = {}
    async with Registry(where) as registry:
        await registry.check()
        for name in names:
            with (
                say.step(f"build the {name} image and send it"),
                tempfile.TemporaryDirectory(dir=cache_root()) as folder,
            ):
                found = images.build_layout(name, Path(folder))
                digests[name] = await send(registry, name, tag, Path(folder), found)
    return digests


def _version() -> str:
    return str(yaml.safe_load((REPO / "charts" / "codesessions" / "Chart.yaml").read_text())["appVersion"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make publish", description=__doc__)
    parser.add_argument("registry", help="HOST/PATH; with http:// where the registry has no TLS")
    parser.add_argument("--tag", default=_version(), help="of every image (default: the chart's appVersion)")
    parser.add_argument("--only", action="append", choices=images.SOURCES, help="this image; may be repeated")
    parser.add_argument("--auth-file", type=Path, default=login(), help="dockerconfigjson (default: %(default)s)")
    parser.add_argument("--ca-file", type=Path, help="certificates to trust besides the system's, PEM")
    return parser


def main() -> None:
    """Entry point. Exit code 1 for what a person must mend, with the reason on standard error."""
    options = _parser().parse_args()
    try:
        where = settings(options.registry, options.auth_file, options.ca_file)
        doctor.install_packages()
        cache_root().mkdir(parents=True, exist_ok=True)
        digests = asyncio.run(publish(where, options.tag, options.only or list(images.SOURCES)))
    except (say.DevError, RegistryError, RegistrySettingsError) as error:
        say.complain(f"error: {error}")
        sys.exit(1)
    text = yaml.safe_dump(values(f"{where.host}/{where.prefix}".rstrip("/"), options.tag, digests), sort_keys=False)
    VALUES.parent.mkdir(parents=True, exist_ok=True)
    VALUES.write_text(text)
    say.line(f"{text}Wrote {VALUES.relative_to(REPO)}: give it to helm with --values.")


if __name__ == "__main__":
    main()
