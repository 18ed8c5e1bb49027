"""The terms of what we ship: from the pins and the packages' own metadata, held against `requirements/licences.toml`.

`python -m codesessions_dev.licences` writes docs/licences.md; with `--check` it only says whether that is up to date.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from license_expression import ExpressionError, get_spdx_licensing

from codesessions_dev.layout import REPO

PAGE = REPO / "docs" / "licences.md"
PINS = {"platform": "operator, API, gateway, command line", "sidecar": "PTY sidecar", "runtime": "runtime"}
"""Pins, and what has them."""
WEB = REPO / "web"
_SPDX = get_spdx_licensing()


@dataclass(frozen=True, order=True)
class Part:
    """Something of somebody else's. `kind` is a package URL type (purl): pypi, npm, deb."""

    kind: str
    name: str
    version: str
    licence: str
    """An SPDX expression; empty if unknown."""


class Terms:
    """requirements/licences.toml."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._inside = frozenset(document["allowed"])
        self._beside = self._inside | frozenset(document["beside"])
        self._known: dict[str, dict[str, str]] = {kind: document[kind] for kind in ("pypi", "deb", "other")}

    @classmethod
    def read(cls) -> Terms:
        return cls(tomllib.loads((REPO / "requirements" / "licences.toml").read_text()))

    def reviewed(self, kind: str, name: str) -> str:
        """What a person found out; empty if nobody looked."""
        return self._known.get(kind, {}).get(name, "")

    def names(self, kind: str) -> list[str]:
        return list(self._known[kind])

    def allows(self, part: Part) -> bool:
        """Whether its terms are known, and fit."""
        if not part.licence:
            return False
        allowed = self._inside if part.kind in {"pypi", "npm"} else self._beside
        try:
            return _holds(_SPDX.parse(part.licence, validate=True, strict=True), allowed)
        except ExpressionError:
            return False

    def refused(self, parts: Iterable[Part]) -> list[str]:
        """What may not be shipped, in words for a person."""
        return [
            f"{part.kind} package {part.name} {part.version}: {part.licence or 'terms unknown'}"
            for part in parts
            if not self.allows(part)
        ]


def _holds(tree: Any, allowed: frozenset[str]) -> bool:
    """Of `A OR B` one must be allowed, of `A AND B` both."""
    if isinstance(tree, _SPDX.OR):
        return any(_holds(each, allowed) for each in tree.args)
    if isinstance(tree, _SPDX.AND):
        return all(_holds(each, allowed) for each in tree.args)
    return str(tree) in allowed


def is_expression(text: str) -> bool:
    """Whether it is an SPDX expression of known licences."""
    try:
        return bool(text) and _SPDX.parse(text, validate=True, strict=True) is not None
    except ExpressionError:
        return False


def python_part(name: str, version: str, terms: Terms) -> Part:
    """A pinned package: what a person found, else its License-Expression (PEP 639), else its License if that is one."""
    licence = terms.reviewed("pypi", name)
    if not licence:
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            return Part("pypi", name, version, "")
        stated = [(metadata.get_all(key) or [""])[0] for key in ("License-Expression", "License")]
        licence = next(filter(is_expression, stated), "")
    return Part("pypi", name, version, licence)


def pinned(pins: str) -> dict[str, str]:
    """Names and versions of `requirements/PINS.txt`."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (REPO / "requirements" / f"{pins}.txt").read_text(), re.MULTILINE))


def python_parts(pins: str, terms: Terms) -> list[Part]:
    return [python_part(name, version, terms) for name, version in sorted(pinned(pins).items())]


def bundled() -> list[Part]:
    """The npm packages in the web terminal's files: what its sources import, and what that needs in turn."""
    lock: dict[str, Any] = json.loads((WEB / "package-lock.json").read_text())["packages"]
    text = "\n".join(file.read_text() for file in (WEB / "src").rglob("*.ts"))
    wanted = re.findall(r"""(?:from|import)\s*\(?\s*["']((?:@[\w.-]+/)?[\w.-]+)(?:/[^"']*)?["']""", text)
    queue, found = [name for name in wanted if not name.startswith(".")], dict[str, Part]()
    while queue:
        name = queue.pop()
        if name not in found:
            entry = lock[f"node_modules/{name}"]
            found[name] = Part("npm", name, entry["version"], entry.get("license", ""))
            queue += entry.get("dependencies", {})
    return sorted(found.values())


def all_parts(terms: Terms) -> list[Part]:
    """All that is known before an image is built."""
    python = [part for pins in PINS for part in python_parts(pins, terms)]
    debian = [Part("deb", name, "", terms.reviewed("deb", name)) for name in terms.names("deb")]
    other = [Part("generic", name, "", terms.reviewed("other", name)) for name in terms.names("other")]
    return [*python, *bundled(), *debian, *other]


def _debian(image: str) -> str:
    """The packages an image adds to its base."""
    text = (REPO / "images" / image / "Dockerfile").read_text()
    found = re.search(r'^ARG PACKAGES="([^"]*)"$', text, re.MULTILINE)
    return found[1] if found else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def page() -> str:
    """docs/licences.md."""
    terms = Terms.read()
    lines = [
        "# Licences",
        "",
        "Code Sessions is Apache-2.0. This page names what its images have of others, with SPDX expressions. It is",
        "generated: `python -m codesessions_dev.licences`. Unknown or refused terms fail the tests and the build of",
        "an image; what is allowed stands in `requirements/licences.toml`. Each image's bill of materials (CycloneDX,",
        "written to `build/sbom/` when the image is built) has every package with its version, Debian's too. Where the",
        "base image has copyright files (`/usr/share/doc/*/copyright`), the images have them.",
    ]
    for pins, who in PINS.items():
        rows = [(part.name, part.version, part.licence) for part in python_parts(pins, terms)]
        lines += ["", f"## Python packages: {who}", "", *_table(("package", "version", "licence"), rows)]
    rows = [(part.name, part.version, part.licence) for part in bundled()]
    lines += ["", "## npm packages in the web terminal", "", *_table(("package", "version", "licence"), rows)]
    rows_of_two = [(name, terms.reviewed("deb", name)) for name in sorted(terms.names("deb"))]
    lines += ["", "## Debian packages: operator, API, gateway, sidecar", ""]
    lines += ["Nothing else of the base image is in them: no shell, no package manager.", ""]
    lines += _table(("package", "licence of what is in the image"), rows_of_two)
    lines += [
        "",
        "## Others",
        "",
        *_table(("what", "licence"), [(n, terms.reviewed("other", n)) for n in terms.names("other")]),
    ]
    lines += ["", "## Whole systems", ""]
    lines += [
        "These are Debian (main) with packages added. People work in them, so a shell and tools belong there.",
        "",
    ]
    lines += _table(
        ("image", "packages added"), [(each, _debian(each)) for each in ("workspace", "runtime", "buildah")]
    )
    lines += [
        "",
        "Not in our images, but named by the chart's defaults: `docker.io/library/registry:3` (distribution,",
        "Apache-2.0). Nothing of the development cluster (Kubernetes, containerd, Contour, Envoy ...) is shipped.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or check it; exit code 1 if it is old or something may not be shipped."""
    refused = Terms.read().refused(all_parts(Terms.read()))
    for each in refused:
        sys.stderr.write(f"error: {each}\n")
    if "--check" not in sys.argv:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        sys.stderr.write(f"error: {PAGE.name} is old: run python -m codesessions_dev.licences\n")
        sys.exit(1)
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
