"""How the web terminal is built and where it goes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from codesessions_api.settings import GatewaySettings
from codesessions_dev import web
from codesessions_dev.layout import REPO


def test_every_package_is_pinned_and_no_registry_is_named() -> None:
    lock = json.loads((REPO / "web" / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert packages
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in packages.values())
    wanted = json.loads((REPO / "web" / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())


def test_the_image_has_the_files_where_the_gateway_looks() -> None:
    dockerfile = (REPO / "images" / "platform" / "Dockerfile").read_text()
    assert f"COPY web/dist {GatewaySettings().web_dir}\n" in dockerfile
    assert "!web/dist" in (REPO / ".containerignore").read_text().split()


def test_what_was_built_before_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web" / "src").mkdir(parents=True)
    for name in ("index.html", "package.json"):
        (tmp_path / "web" / name).write_text(name)
    builds: list[str] = []

    def build() -> None:
        builds.append(web.fingerprint())
        (web.DIST / "cs_").mkdir(parents=True, exist_ok=True)
        (web.DIST / "index.html").write_text(builds[-1])

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(web, "WEB", tmp_path / "web")
    monkeypatch.setattr(web, "DIST", tmp_path / "web" / "dist")
    monkeypatch.setattr(web, "_build", build)
    first = (web.ensure() / "index.html").read_text()
    web.ensure()
    (tmp_path / "web" / "index.html").write_text("changed")
    second = (web.ensure() / "index.html").read_text()
    (tmp_path / "web" / "index.html").write_text("index.html")
    assert (web.ensure() / "index.html").read_text() == first != second  # from the cache
    assert builds == [first, second]
