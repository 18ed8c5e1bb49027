"""Builds the product's images with buildah and puts them on the node, when their sources have changed."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from codesessions_dev import say, sbom, web
from codesessions_dev.layout import REPO, cache_root
from codesessions_dev.licences import Part, Terms
from codesessions_dev.local import base_images
from codesessions_dev.provider import Provider
from codesessions_dev.shell import output, run

PREFIX = "localhost/codesessions"
RUNTIME, BUILDAH = "runtime", "buildah"
RUNROOT = Path("/run/codesessions-buildah")
WHEELS = ("--no-index", "--find-links=/wheels")
COMMON = (
    *("images", "requirements", ".containerignore"),
    *(f"dev/codesessions_dev/{name}.py" for name in ("images", "licences", "sbom")),
)
SOURCES = {
    "platform": (
        "crds/codesessions_crds",
        "crds/codesessions_kube",
        "crds/codesessions_oci",
        "crds/codesessions_transcript",
        "operator",
        "api",
        "web",
    ),
    "sidecar": ("sidecar",),
    "workspace": (),
    "runtime": (),
    "buildah": (),
}
_MADE = frozenset({"__pycache__", "build", "dist", "node_modules"})
"""Folders of what is made from sources."""
BASES = {
    "platform": {"BASE_IMAGE": "base"},
    "sidecar": {"BASE_IMAGE": "base", "COMPILER_IMAGE": "compiler"},
    "workspace": {"BASE_IMAGE": "workspace"},
    "runtime": {"BASE_IMAGE": "runtime"},
    "buildah": {"BASE_IMAGE": "buildah"},
}


@dataclass(frozen=True)
class Images:
    """The tag of each image, which says what is in it."""

    tags: dict[str, str]
    runtime: str = ""
    """What applications are built on, as nodes pull it; empty where the cluster has no registry."""

    @property
    def buildah(self) -> str:
        """What builds Dockerfiles."""
        return f"{PREFIX}/{BUILDAH}:{self.tags[BUILDAH]}"

    def values(self) -> dict[str, object]:
        """As values of the chart."""
        images = {name: {"repository": f"{PREFIX}/{name}", "tag": tag, "digest": ""} for name, tag in self.tags.items()}
        for name in (RUNTIME, BUILDAH):  # they are no part of a pod of ours
            del images[name]
        return {"images": images}


def fingerprint(name: str) -> str:
    """Twelve hexadecimal digits that change with whatever goes into an image."""
    digest = hashlib.sha256()
    for place in (*COMMON, *SOURCES[name]):
        path = REPO / place
        files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        for file in files:
            if _MADE.intersection(file.parts):
                continue
            digest.update(str(file.relative_to(REPO)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def ensure(provider: Provider) -> Images:
    """Build and load what the node does not have yet. Raises DevError."""
    tags = {name: fingerprint(name) for name in SOURCES}
    present = provider.images()
    missing = [name for name, tag in tags.items() if f"{PREFIX}/{name}:{tag}" not in present and name != RUNTIME]
    stored = _in_registry(tags[RUNTIME], provider) if provider.registry else True
    if not stored:
        missing.append(RUNTIME)
    if missing:
        _clean_store()
    for name in missing:
        with say.step(f"build the {name} image and {'push' if name == RUNTIME else 'load'} it"):
            _build(name, tags[name], provider)
    _lay_out_bills(tags)
    return Images(tags, _pulled(tags[RUNTIME], provider) if provider.registry else "")


def _bill(name: str, tag: str) -> Path:
    """Where an image's bill of materials is kept."""
    return cache_root() / "sbom" / f"{name}-{tag}.cdx.json"


def _contents(name: str, reference: str) -> list[Part]:
    """What is in an image that was just built. Raises DevError for what may not be shipped."""
    container = _buildah("from", "--pull-never", reference)
    try:
        found = sbom.parts(name, Path(_buildah("mount", container)))
    finally:
        _buildah("rm", container)
    if name in sbom.MINIMAL and (refused := Terms.read().refused(found)):
        raise say.DevError(f"the {name} image has what requirements/licences.toml does not allow: {'; '.join(refused)}")
    return found


def _write_bill(name: str, tag: str, found: list[Part]) -> None:
    place = _bill(name, tag)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(sbom.render(name, tag, found))


def _lay_out_bills(tags: dict[str, str]) -> None:
    """Put the bills of materials where people look for them."""
    folder = REPO / "build" / "sbom"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, tag in tags.items():
        if _bill(name, tag).exists():  # not so where the image came from another machine
            shutil.copyfile(_bill(name, tag), folder / f"{name}.cdx.json")


def _pulled(tag: str, provider: Provider) -> str:
    return f"{provider.registry.partition('://')[2]}/{RUNTIME}:{tag}"


def _pushed(tag: str, provider: Provider) -> str:
    """The same place as this machine reaches it."""
    path = _pulled(tag, provider).partition("/")[2]
    return f"127.0.0.1:{provider.layout.ports.registry}/{path}"


def _in_registry(tag: str, provider: Provider) -> bool:
    """Whether the runtime image was pushed: builds put layers on it there, and do not send it."""
    host, _, path = _pushed(tag, provider).partition("/")
    repository = path.rpartition(":")[0]
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers=accept)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _buildah(*words: str | Path, env: dict[str, str] | None = None) -> str:
    store = cache_root() / "buildah"
    options: list[str | Path] = ["--root", store, "--runroot", RUNROOT, "--storage-driver", "overlay"]
    return output(["buildah", *options, *words], env=env)


def _clean_store() -> None:
    """Builds leave layers; keep the store from growing without end."""
    store = cache_root() / "buildah"
    if not store.exists():
        return
    size = int(output(["du", "-sm", store]).split()[0])
    if size > 6000:
        shutil.rmtree(store)


def _base(name: str) -> str:
    """A base image in buildah's store, from its root file system."""
    reference = f"localhost/codesessions-dev/{name}:1"
    if reference in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return reference
    container = _buildah("from", "scratch")
    try:
        _buildah("add", "--quiet", container, base_images.rootfs(name), "/")
        _buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        _buildah("commit", "--quiet", container, reference)
    finally:
        _buildah("rm", container)
    return reference


def _wheels(name: str) -> Path | None:
    """The pinned packages of an image as wheels, fetched here, where the package index is configured."""
    pins = REPO / "requirements" / f"{name}.txt"
    if not pins.exists():
        return None
    folder = cache_root() / "wheels" / hashlib.sha256(pins.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        pip: list[str | Path] = [Path(sys.base_prefix) / "bin" / "python3", "-m", "pip", "download", "--quiet"]
        target = ["--only-binary=:all:", "--python-version=3.11", f"--dest={partial}"]
        run([*pip, "--require-hashes", *target, "-r", pins])
        partial.rename(folder)
    return folder


@contextmanager
def _built(name: str, tag: str) -> Iterator[tuple[str, list[Part]]]:
    """An image in buildah's store, by its reference, and what is in it. Raises DevError."""
    reference = f"{PREFIX}/{name}:{tag}"
    words: list[str | Path] = ["bud", "--quiet", "--isolation", "chroot", "--tag", reference]
    words += ["--file", REPO / "images" / name / "Dockerfile"]
    for argument, base in BASES[name].items():
        words += ["--build-arg", f"{argument}={_base(base)}"]
    wheels = _wheels(name)
    if wheels is not None:
        words += ["--build-arg", f"PIP_ARGS={' '.join(WHEELS)}", "--volume", f"{wheels}:/wheels:ro"]
    if name == "platform":
        web.ensure()
    if name == "workspace":
        words += ["--build-arg", f"PACKAGES={' '.join(base_images.ROOTFS['workspace'])}"]
    _buildah(*words, REPO)
    try:
        yield reference, _contents(name, reference)
    finally:
        _buildah("rmi", "--force", reference)


def build_layout(name: str, folder: Path) -> list[Part]:
    """Build an image into an empty folder, as an OCI image layout; what is in it. Raises DevError."""
    with _built(name, fingerprint(name)) as (reference, found):
        _buildah("push", "--quiet", "--format=oci", reference, f"oci:{folder}")
    return found


def _build(name: str, tag: str, provider: Provider) -> None:
    with _built(name, tag) as (reference, found), tempfile.TemporaryDirectory(dir=cache_root()) as folder:
        _write_bill(name, tag, found)
        if name == RUNTIME:
            gzip = ["--compression-format=gzip", "--compression-level=1", "--format=oci"]
            _buildah("push", "--quiet", "--tls-verify=false", *gzip, reference, f"docker://{_pushed(tag, provider)}")
        else:
            archive = Path(folder) / f"{name}.tar"
            _buildah("push", "--quiet", reference, f"oci-archive:{archive}:{reference}")
            provider.load(archive)
