"""Where images are sent, and the chart's values for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from codesessions_dev import images, publish
from codesessions_oci.settings import RegistrySettingsError
from support.helm import render

DIGEST = "sha256:" + "a" * 64


def test_a_registry_is_a_host_and_a_path_or_a_url() -> None:
    found = publish.settings("registry.example.com/a/b", None, None)
    assert (str(found.url), found.prefix) == ("https://registry.example.com/a/b", "a/b")
    assert str(publish.settings("http://127.0.0.1:5000/a", None, None).url) == "http://127.0.0.1:5000/a"


@pytest.mark.parametrize("place", ["", " ", "ftp://x", "x/UPPER", "https://user@x"])
def test_what_is_no_registry_is_refused(place: str) -> None:
    with pytest.raises(RegistrySettingsError):
        publish.settings(place, None, None)


def test_who_we_are_is_where_other_tools_keep_it(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert publish.login(environment) is None
    docker, podman, named = (tmp_path / each for each in ("home/.docker/config.json", "run/containers/auth.json", "x"))
    for file in (docker, podman, named):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    assert publish.login({"HOME": environment["HOME"]}) == docker
    assert publish.login(environment) == podman
    assert publish.login({**environment, "REGISTRY_AUTH_FILE": str(named)}) == named


def test_every_image_is_named_by_digest() -> None:
    found = publish.values("r.example.com/x", "1", dict.fromkeys(images.SOURCES, DIGEST))
    assert found["images"] == {
        name: {"repository": f"r.example.com/x/{name}", "tag": "1", "digest": DIGEST}
        for name in ("platform", "sidecar", "workspace")
    }
    assert found["build"] == {
        "runtimeImage": f"r.example.com/x/runtime@{DIGEST}",
        "buildah": {"image": f"r.example.com/x/buildah@{DIGEST}"},
    }
    rendered = render(found)
    assert rendered.pod("operator")["spec"]["containers"][0]["image"] == f"r.example.com/x/platform@{DIGEST}"
    environment = rendered.environment("operator")
    assert environment["CODESESSIONS_SIDECAR_IMAGE"] == f"r.example.com/x/sidecar@{DIGEST}"
    assert environment["CODESESSIONS_WORKSPACE_IMAGE"] == f"r.example.com/x/workspace@{DIGEST}"


def test_images_that_were_not_sent_are_not_named() -> None:
    assert set(publish.values("r", "1", {"platform": DIGEST})) == {"images"}
    assert publish.values("r", "1", {"runtime": DIGEST}) == {"build": {"runtimeImage": f"r/runtime@{DIGEST}"}}
