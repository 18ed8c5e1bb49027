"""The terms of what we ship, and the bill of materials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from codesessions_dev import licences, sbom
from codesessions_dev.licences import Part, Terms

TERMS = Terms.read()


def test_the_page_is_up_to_date() -> None:
    assert licences.PAGE.read_text() == licences.page(), "run: PYTHONPATH=dev python -m codesessions_dev.licences"


def test_all_that_is_shipped_has_terms_that_fit() -> None:
    assert TERMS.refused(licences.all_parts(TERMS)) == []


@pytest.mark.parametrize(
    ("kind", "licence", "fits"),
    [
        ("pypi", "MIT", True),
        ("npm", "MIT AND Apache-2.0", True),
        ("pypi", "GPL-3.0-only OR MIT", True),
        ("pypi", "MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("pypi", "", False),
        ("pypi", "AGPL-3.0-only", False),
        ("pypi", "GPL-3.0-only", False),
        ("npm", "MIT AND GPL-3.0-only", False),
        ("pypi", "Whatever You Like", False),
        ("pypi", "LGPL-2.1-or-later", False),
        ("deb", "LGPL-2.1-or-later", True),
        ("deb", "GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("deb", "GPL-3.0-or-later", False),
    ],
)
def test_unknown_and_unfit_terms_are_refused(kind: str, licence: str, fits: bool) -> None:
    part = Part(kind, "x", "1", licence)
    assert TERMS.allows(part) is fits
    assert (TERMS.refused([part]) == []) is fits


def test_a_package_that_nobody_knows_has_no_terms() -> None:
    part = licences.python_part("no-such-package-anywhere", "1", TERMS)
    assert part.licence == ""
    assert "terms unknown" in TERMS.refused([part])[0]


def test_the_web_terminal_brings_what_its_sources_import_and_what_that_needs() -> None:
    names = [part.name for part in licences.bundled()]
    assert "@xterm/xterm" in names
    assert "js-base64" in names  # of the clipboard's addon
    assert "vite" not in names


def image(root: Path, *names: str) -> Path:
    """A root file system of which dpkg and pip have noted something."""
    status = root / "var" / "lib" / "dpkg" / "status.d"
    status.mkdir(parents=True)
    for name in names:
        (status / name).write_text(f"Package: {name}\nStatus: install ok installed\nVersion: 1.2-3\n")
    package = root / "opt" / "codesessions" / "websockets-17.4.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.4\nName: websockets\nVersion: 17.4\n")
    return root


def test_a_bill_of_materials_names_packages_versions_and_terms(tmp_path: Path) -> None:
    found = sbom.parts("sidecar", image(tmp_path, "libc6", "zlib1g"))
    document = json.loads(sbom.render("sidecar", "abc", found))
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "codesessions/sidecar"
    components = {each["purl"]: each["licenses"][0] for each in document["components"]}
    assert components == {
        "pkg:deb/debian/libc6@1.2-3": {"license": {"id": "LGPL-2.1-or-later"}},
        "pkg:deb/debian/zlib1g@1.2-3": {"license": {"id": "Zlib"}},
        "pkg:pypi/websockets@17.4": {"license": {"id": "BSD-3-Clause"}},
    }
    assert TERMS.refused(found) == []


def test_a_debian_package_that_nobody_looked_at_is_refused(tmp_path: Path) -> None:
    found = sbom.parts("sidecar", image(tmp_path, "libc6", "bash"))
    assert TERMS.refused(found) == ["deb package bash 1.2-3: terms unknown"]


def test_packages_that_were_removed_are_not_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "lib" / "dpkg"
    folder.mkdir(parents=True)
    entries = ["Package: a\nStatus: install ok installed\nVersion: 1", "Package: b\nStatus: deinstall ok config-files"]
    (folder / "status").write_text("\n\n".join(entries) + "\n")
    assert [part.name for part in sbom.debian(tmp_path, TERMS)] == ["a"]
