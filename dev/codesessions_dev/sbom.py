"""The bill of materials of an image (CycloneDX 1.6), from what package managers have noted in its root file system.

`python -m codesessions_dev.sbom NAME ROOT` prints that of an image whose file system is in the folder ROOT.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from codesessions_dev import licences
from codesessions_dev.licences import Part, Terms

MINIMAL = frozenset({"platform", "sidecar"})
"""Images that have nothing in them but what we put there: all of it is held to the terms."""


def debian(root: Path, terms: Terms) -> list[Part]:
    """Installed packages: of dpkg's status file, or of one file each (`status.d`, as in distroless images)."""
    folder = root / "var" / "lib" / "dpkg"
    files = sorted((folder / "status.d").glob("*")) or [folder / "status"]
    found = []
    for text in (file.read_text(errors="replace") for file in files if file.is_file()):
        for entry in text.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", entry, re.MULTILINE))
            if "Package" in fields and fields.get("Status", "installed").endswith("installed"):
                name = fields["Package"]
                found.append(Part("deb", name, fields.get("Version", ""), terms.reviewed("deb", name)))
    return found


def python(root: Path, terms: Terms) -> list[Part]:
    """Distributions with metadata of their own (PEP 376), ours in /opt, the base's where it has them."""
    places = [root / "opt" / "codesessions", *root.glob("usr/local/lib/python3*/site-packages")]
    found = importlib.metadata.distributions(path=[str(place) for place in places if place.is_dir()])
    names = sorted({(re.sub(r"[-_.]+", "-", each.name).lower(), each.version) for each in found})
    return [licences.python_part(name, version, terms) for name, version in names]


def parts(name: str, root: Path) -> list[Part]:
    """All that is in an image."""
    terms = Terms.read()
    return [*debian(root, terms), *python(root, terms), *(licences.bundled() if name == "platform" else [])]


def render(name: str, version: str, found: Iterable[Part], *, repository: str = "", digest: str = "") -> str:
    """The document, as JSON. An image that is in a registry is named by repository and digest (purl: type oci)."""
    bom = Bom()
    image = Component(name=f"codesessions/{name}", version=version, type=ComponentType.CONTAINER)
    if digest:
        bare = repository.rpartition("/")[2]
        image.purl = PackageURL("oci", None, bare, digest, {"repository_url": repository, "tag": version})
        image.hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))]
    bom.metadata.component = image
    factory = LicenseFactory()
    for part in found:
        namespace, _, bare = part.name.rpartition("/")
        if part.kind == "deb":
            namespace = "debian"
        component = Component(
            name=part.name,
            version=part.version,
            purl=PackageURL(part.kind, namespace or None, bare, part.version),
            licenses=[factory.make_from_string(part.licence)] if part.licence else [],
            bom_ref=f"{part.kind}:{part.name}@{part.version}",
        )
        bom.components.add(component)
        bom.register_dependency(bom.metadata.component, [component])
    return str(JsonV1Dot6(bom).output_as_string(indent=1)) + "\n"


def main() -> None:
    """Print the document; exit code 1 if something in the image may not be shipped."""
    name, root = sys.argv[1], Path(sys.argv[2])
    found = parts(name, root)
    sys.stdout.write(render(name, "", found))
    refused = Terms.read().refused(found) if name in MINIMAL else []
    sys.stderr.writelines(f"error: {each}\n" for each in refused)
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
